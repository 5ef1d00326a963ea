//! What a client must do before it is served.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use crate::password::{Password, PasswordError};

/// Who is let in at the clients' port. By default everybody is, in plain.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The certificate of the day.
    pub(crate) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub(crate) password: Option<Password>,
}

impl Access {
    /// Those who know this password.
    ///
    /// # Errors
    /// [`PasswordError`]
    pub fn by_password(password: &[u8]) -> Result<Self, PasswordError> {
        Ok(Self {
            tls: None,
            password: Some(Password::first_line(password)?),
        })
    }

    /// What new connections are encrypted with.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.borrow().clone())
    }
}

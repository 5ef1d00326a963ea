//! The message of a panic.

use std::any::Any;

/// The message of a caught panic.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic that is no text")
        .to_owned()
}

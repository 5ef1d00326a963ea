//! The system call. The one unsafe block of this crate is here.

use core::mem::MaybeUninit;
use std::io;

use super::Timex;
use crate::source::SourceError;

#[expect(
    unsafe_code,
    reason = "a system call that no safe crate offers; the proof stands beside it"
)]
pub(super) fn adjtimex() -> Result<Timex, SourceError> {
    // All zero, and so `modes`: nothing is to be set, the call only reports and needs no privilege.
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `adjtimex` has one argument, a pointer to a `struct timex` that it reads and writes
    // and does not keep. This one is whole, aligned, readable (zeroed) and writable; it lives on this
    // stack beyond the call, and nobody else can see it. `libc` declares the struct as the C library
    // lays it out, padding included, so that nothing is written outside of it. It is initialised
    // afterwards whatever the call did, because it consists of integers, for which zeros are a value.
    let (state, timex) = unsafe {
        let state = libc::adjtimex(timex.as_mut_ptr());
        (state, timex.assume_init())
    };
    if state < 0 {
        return Err(match io::Error::last_os_error().kind() {
            io::ErrorKind::PermissionDenied => SourceError::Denied,
            _ => SourceError::Unavailable,
        });
    }
    #[allow(
        clippy::useless_conversion,
        reason = "the fields have 32 bits on some machines"
    )]
    Ok(Timex {
        state,
        status: timex.status,
        maxerror_micros: i64::from(timex.maxerror),
        esterror_micros: i64::from(timex.esterror),
        offset: i64::from(timex.offset),
        freq: i64::from(timex.freq),
        tick_micros: i64::from(timex.tick),
    })
}

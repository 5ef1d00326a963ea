//! TrueTime for everybody: an interval that contains true time, from real clocks, or an error.

#![cfg_attr(not(feature = "std"), no_std)]

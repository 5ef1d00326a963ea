//! Each wall stands for a hundred seeds, and who tampers with a proof is refused.

mod cap;
mod clocks;
mod clusters;
mod course;
mod flp;
mod generals;
mod pages;
mod suspicion;
mod whole;

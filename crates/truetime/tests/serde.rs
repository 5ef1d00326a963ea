//! What is written is read back, and an interval that ends before it begins is not.

use synod_truetime::lease::Promise;
use synod_truetime::{Interval, Timestamp};

#[test]
fn intervals_and_promises_are_read_back() {
    let (earliest, latest) = (Timestamp::from_nanos(-7), Timestamp::MAX);
    let interval = Interval::new(earliest, latest).unwrap();
    let bytes = postcard::to_stdvec(&interval).unwrap();
    assert_eq!(postcard::from_bytes(&bytes), Ok(interval));
    let promise = Promise {
        to: 3_u64,
        until: latest,
    };
    let bytes = postcard::to_stdvec(&promise).unwrap();
    assert_eq!(postcard::from_bytes(&bytes), Ok(promise));
}

#[test]
fn a_reversed_interval_is_refused() {
    let bytes = postcard::to_stdvec(&[Timestamp::MAX, Timestamp::MIN]).unwrap();
    assert!(postcard::from_bytes::<Interval>(&bytes).is_err());
}

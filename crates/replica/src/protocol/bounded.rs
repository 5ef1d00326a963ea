//! Lists whose elements are small on the wire and large in memory: bounded in number before they are read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Reads a list of at most `MAX` elements; of a longer one nothing is read.
pub(super) fn at_most<'de, T, D, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(AtMost::<T, MAX>(PhantomData))
}

struct AtMost<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let told = list.size_hint().unwrap_or(0);
        if told > MAX {
            return Err(A::Error::invalid_length(told, &self));
        }
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Vec<u64>> {
        let mut deserializer = postcard::Deserializer::from_bytes(bytes);
        at_most::<_, _, 3>(&mut deserializer).ok()
    }

    #[test]
    fn a_longer_list_is_refused() {
        assert_eq!(read(&[3, 7, 8, 9]), Some(vec![7, 8, 9]));
        assert_eq!(read(&[0]), Some(vec![]));
        assert_eq!(read(&[4, 7, 8, 9, 10]), None);
        assert_eq!(read(&[3, 7, 8]), None, "cut short");
    }
}

//! Numbers of variable length in commands: seven bits a byte, the lowest first, in the shortest form.

/// Appends a number.
pub(crate) fn put(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Takes a number off the front; `None` if there is none in its shortest form.
pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        let is_padding = byte == 0 && shift > 0;
        if bits << shift >> shift != bits || is_padding {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(number, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((take(&mut rest), rest), (Some(number), &[][..]));
            for cut in 0..bytes.len() {
                assert_eq!(take(&mut &bytes[..cut]), None, "{number} cut at {cut}");
            }
        }
        for bad in [&[0x80, 0][..], &[0xff; 10], &[0xff; 9]] {
            assert_eq!(take(&mut &bad[..]), None, "{bad:?}");
        }
    }
}

//! 128 bits that stand for a state: two of a million states are taken for one with a probability of
//! 10^-27.

use std::hash::{Hash, Hasher};

#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint {
    a: u64,
    b: u64,
}

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self {
            a: 0x243F_6A88_85A3_08D3,
            b: 0x1319_8A2E_0370_7344,
        }
    }

    pub(super) fn of(value: &impl Hash) -> u128 {
        let mut fingerprint = Self::new();
        value.hash(&mut fingerprint);
        fingerprint.end()
    }

    pub(super) fn add(&mut self, word: u64) {
        self.a = fold(self.a ^ word, 0x9E37_79B9_7F4A_7C15);
        self.b = fold(self.b ^ word, 0xD1B5_4A32_D192_ED03);
    }

    pub(super) fn end(self) -> u128 {
        u128::from(mix(self.a)) << 64 | u128::from(mix(self.b))
    }
}

/// The product with a constant, both halves of it. The word is turned by what came before, so order
/// matters.
fn fold(word: u64, factor: u64) -> u64 {
    let product = u128::from(word.rotate_left(23).wrapping_add(factor)) * u128::from(factor);
    (product >> 64) as u64 ^ product as u64
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        self.a
    }
}

/// For maps whose keys are few numbers, or are fingerprints already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
}

pub(super) type Map<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<Fast>>;
pub(super) type Set<K> = std::collections::HashSet<K, std::hash::BuildHasherDefault<Fast>>;

/// The finalizer of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

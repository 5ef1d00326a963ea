//! Machines that are stopped with all their clocks, by a page as the kernel's `vmclock-abi.h` lays it out: nothing here
//! has run on a machine that has the device.

#![cfg(unix)]

use core::time::Duration;
use std::fs;

use synod_truetime::sim::{Fault, Machine, Reference, World};
use synod_truetime::vmclock::{PAGE_BYTES, Page, PageError, VmClock};
use synod_truetime::{
    Clocks, Config, Disciplined, Disruption, PollError, Polled, TimeError, TrueTime,
};

const SECOND: Duration = Duration::from_secs(1);

/// A page of version 1 with a generation, in which every byte that means something is its own.
fn page(sequence: u32, marker: u64, generation: u64) -> [u8; PAGE_BYTES] {
    let mut bytes = [0; PAGE_BYTES];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &0x4b4c_4356_u32.to_le_bytes());
    put(4, &4096_u32.to_le_bytes());
    put(8, &1_u16.to_le_bytes());
    put(10, &[1, 1]);
    put(12, &sequence.to_le_bytes());
    put(16, &marker.to_le_bytes());
    put(24, &(1_u64 << 8 | 1).to_le_bytes());
    put(34, &[2, 0]);
    put(36, &37_u16.to_le_bytes());
    put(104, &generation.to_le_bytes());
    bytes
}

#[test]
fn a_page_decodes_as_the_kernel_lays_it_out() {
    let decoded = Page::decode(&page(4, 77, 5)).unwrap();
    assert_eq!(decoded.disruption_marker, 77);
    assert_eq!(decoded.flags, 257);
    assert_eq!(decoded.clock_status, 2);
    assert_eq!(decoded.generation, Some(5));
    // An older one ends before the generation, or does not say that there is one.
    let mut without = page(4, 77, 5);
    without[24..32].fill(0);
    assert_eq!(Page::decode(&without).unwrap().generation, None);
    assert_eq!(
        Page::decode(&page(4, 77, 5)[..104]).unwrap().generation,
        None
    );
}

#[test]
fn what_is_no_page_has_a_name() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = page(4, 1, 1);
        bytes[at] = byte;
        Page::decode(&bytes).unwrap_err()
    };
    assert_eq!(
        Page::decode(&[]).unwrap_err(),
        PageError::Length { bytes: 0 }
    );
    assert_eq!(
        Page::decode(&page(4, 1, 1)[..103]).unwrap_err(),
        PageError::Length { bytes: 103 }
    );
    assert_eq!(changed(0, b'v'), PageError::Magic);
    assert_eq!(changed(8, 2), PageError::Version { found: 2 });
    assert_eq!(changed(5, 0), PageError::Length { bytes: 0 });
    assert_eq!(changed(12, 5), PageError::Updating);
}

/// Either change makes another number.
#[test]
fn a_marker_tells_of_both() {
    let marker = |marker, generation| Page::decode(&page(4, marker, generation)).unwrap().marker();
    let seen = [marker(1, 1), marker(2, 1), marker(1, 2), marker(2, 2)];
    for (i, one) in seen.iter().enumerate() {
        assert!(!seen[i + 1..].contains(one));
    }
}

/// The first reader behind a migration knows; two samples later the clock is known again.
#[test]
fn a_change_of_the_page_is_seen_by_the_next_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmclock0");
    fs::write(&path, page(4, 1, 1)).unwrap();
    let world = World::new(1);
    let machine = Machine::new(&world, 100);
    let clocks = VmClock::open(machine.clone(), &path).unwrap();
    let source = Reference::new(&machine, Duration::from_millis(1));
    let clock = Disciplined::new(source, &clocks, Config::default());
    clock.poll().unwrap();
    assert!(world.is_in(&clock.now().unwrap()));
    let moved = TimeError::Disrupted(Disruption::Moved);
    for after in [page(6, 2, 1), page(6, 2, 2)] {
        machine.strike(Fault::Pause(SECOND));
        fs::write(&path, after).unwrap();
        assert_eq!(clock.now(), Err(moved));
        assert_eq!(clock.poll(), Ok(Polled::Settling { missing: 1 }));
        assert_eq!(clock.now(), Err(moved));
        world.advance(SECOND);
        assert_eq!(clock.poll(), Ok(Polled::Adopted));
        assert!(world.is_in(&clock.now().unwrap()));
    }
    // A page that is never whole, or is gone, is one more disruption, and each look at it is.
    for broken in [page(7, 2, 2).to_vec(), Vec::new()] {
        fs::write(&path, broken).unwrap();
        assert!(clocks.page().is_err());
        assert_ne!(clocks.disruption_marker(), clocks.disruption_marker());
        assert_eq!(clock.now(), Err(moved));
        assert!(clock.poll().is_err() && clock.now().is_err());
    }
    fs::write(folder.path().join("other"), b"no page").unwrap();
    assert!(VmClock::open(&machine, folder.path().join("other")).is_err());
}

#[test]
fn a_pause_that_the_hypervisor_tells_is_seen_by_the_next_reader() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100).with_hypervisor();
    let source = Reference::new(&machine, Duration::from_millis(1));
    let clock = Disciplined::new(source, machine.clone(), Config::default());
    clock.poll().unwrap();
    // Shorter than the bound and longer than a poll, alike.
    for pause in [Duration::from_micros(1), SECOND / 2, 100 * SECOND] {
        machine.strike(Fault::Pause(pause));
        assert_eq!(clock.now(), Err(TimeError::Disrupted(Disruption::Moved)));
        clock.poll().unwrap();
        clock.poll().unwrap();
        assert!(world.is_in(&clock.now().unwrap()));
    }
}

/// Without a hypervisor that tells: wrong until the next sample, and never longer. Polled every second, that is a
/// second.
#[test]
fn without_it_the_window_is_one_poll() {
    for pause in [
        Duration::from_micros(500),
        5 * SECOND / 1000,
        SECOND / 2,
        100 * SECOND,
    ] {
        let world = World::new(3);
        let machine = Machine::new(&world, 100);
        let source = Reference::new(&machine, Duration::from_millis(1));
        let clock = Disciplined::new(source, machine.clone(), Config::default());
        clock.poll().unwrap();
        machine.strike(Fault::Pause(pause));
        // Up to here nobody can know: the interval is wrong by the pause, less what it is wide.
        let hidden = world.is_in(&clock.now().unwrap());
        assert_eq!(hidden, pause < Duration::from_millis(1), "{pause:?}");
        world.advance(SECOND);
        match clock.poll() {
            // It was within the bound all along, or is again.
            Ok(Polled::Adopted) => assert!(world.is_in(&clock.now().unwrap())),
            Err(PollError::Disrupted(Disruption::Contradiction)) => assert!(clock.now().is_err()),
            polled => panic!("{polled:?}"),
        }
    }
}

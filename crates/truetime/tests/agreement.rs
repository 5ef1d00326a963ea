//! Sources that lie, are silent, or tell of long ago, and what the others make of it.

use core::time::Duration;

use synod_truetime::sim::{Machine, Reference, World};
use synod_truetime::{
    BoundKind, Clocks, Combined, Interval, NoAgreement, Sample, Source, SourceError,
};

const MILLI: Duration = Duration::from_millis(1);

fn five() -> (World, Machine, Combined<Vec<Reference>, Machine>) {
    let world = World::new(1);
    let machine = Machine::new(&world, 100);
    let sources = (0..5).map(|_| Reference::new(&machine, MILLI)).collect();
    let combined = Combined::new(sources, machine.clone(), 2);
    (world, machine, combined)
}

#[test]
fn liars_are_named_by_their_place_in_the_list() {
    let (world, machine, combined) = five();
    let [mut heard, mut silent] = [0; 2];
    combined.sources()[0].silence(true);
    combined.sources()[3].lie(-60_000_000);
    let survey = combined.survey(|_, sample| match sample {
        Ok(_) => heard += 1,
        Err(_) => silent += 1,
    });
    let (sample, agreement) = survey.unwrap();
    assert_eq!((heard, silent), (4, 1));
    assert_eq!(agreement.falsetickers.iter().collect::<Vec<_>>(), [3]);
    assert_eq!(agreement.truechimers.iter().collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(sample.at, machine.local());
    assert!(world.is_in(&sample.interval));
}

/// Of five at most two are faulty. With two silent ones, the three that are left must all agree: if one of
/// them is wrong too, nothing is known.
#[test]
fn silent_ones_count_among_the_faulty() {
    let (world, _, combined) = five();
    combined.sources()[0].silence(true);
    combined.sources()[1].silence(true);
    let (sample, _) = combined.survey(|_, _| {}).unwrap();
    assert!(world.is_in(&sample.interval));
    combined.sources()[2].lie(60_000_000);
    let (count, agreeing, needed) = (3, 2, 3);
    let contradiction = NoAgreement::Contradiction {
        count,
        agreeing,
        needed,
    };
    assert_eq!(combined.survey(|_, _| {}).unwrap_err(), contradiction);
    assert_eq!(
        combined.sample(),
        Err(SourceError::NoAgreement(contradiction))
    );
    combined.sources()[2].silence(true);
    let (count, faulty_max) = (2, 2);
    let too_few = NoAgreement::TooFew { count, faulty_max };
    assert_eq!(combined.survey(|_, _| {}).unwrap_err(), too_few);
}

/// A source that answers from what it read at some time.
struct Kept(Sample);

impl Source for Kept {
    fn sample(&self) -> Result<Sample, SourceError> {
        Ok(self.0)
    }
}

#[test]
fn samples_of_different_ages_are_brought_to_one_instant() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let kept: Vec<_> = (0..3)
        .map(|number| {
            let at = machine.local();
            let interval = Interval::around(world.now(), MILLI);
            let mut sample = Sample::between(at, at, interval, 1_000 * number);
            sample.valid_for = Duration::from_secs(100 + 10 * u64::from(number));
            if number == 1 {
                sample.bound = BoundKind::Statistical { miss_ppb: 7 };
            }
            world.advance(Duration::from_secs(30));
            Kept(sample)
        })
        .collect();
    let combined = Combined::new(kept.as_slice(), &machine, 1);
    let sample = combined.sample().unwrap();
    assert!(world.is_in(&sample.interval));
    assert_eq!(sample.drift_ppb, 2_000);
    assert_eq!(sample.bound, BoundKind::Statistical { miss_ppb: 7 });
    // The first may be used for 10 s more.
    assert!(sample.valid_for <= Duration::from_millis(10_010));
    world.advance(Duration::from_secs(12));
    let (_, agreement) = combined.survey(|_, _| {}).unwrap();
    assert!(!agreement.truechimers.contains(0), "it has expired");
    world.advance(Duration::from_secs(60));
    assert!(combined.sample().is_err(), "only one is left");
}

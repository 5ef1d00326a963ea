//! Two replicas of a shopping cart, a partition, and nothing lost: siblings kept by a dotted version
//! vector set, merged by the one who sees them.
//!
//! `cargo run --example shopping_cart -p synod-vclock`
//!
//! A cart is a set of things. Clients read it with its context, change it, and write it back with
//! that context; a replica keeps what the writer had not read beside what it wrote.

use std::collections::BTreeSet;
use std::fmt;

use synod_vclock::{ContextError, DvvSet, VersionVector};

/// What a client puts into its basket, all of it written at once.
type Things = BTreeSet<&'static str>;

/// One copy of the cart.
#[derive(Clone, Debug, PartialEq)]
struct Replica {
    name: &'static str,
    cart: DvvSet<&'static str, Things>,
}

impl Replica {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            cart: DvvSet::new(),
        }
    }

    /// All siblings together, and what to bring along with the next write.
    fn read(&self) -> Basket {
        Basket {
            things: self.cart.values().flatten().copied().collect(),
            context: self.cart.context(),
        }
    }

    fn write(&mut self, basket: &Basket) -> Result<(), ContextError> {
        self.cart
            .update(&basket.context, self.name, basket.things.clone())?;
        println!("  {self}");
        Ok(())
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<6} knows {:<20} and has",
            self.name,
            self.cart.context().to_string()
        )?;
        for (dot, things) in self.cart.iter() {
            write!(
                f,
                "  [{dot}] {}",
                Vec::from_iter(things.iter().copied()).join(" + ")
            )?;
        }
        Ok(())
    }
}

/// What a client holds.
#[derive(Clone, Debug, Default)]
struct Basket {
    things: Things,
    context: VersionVector<&'static str>,
}

impl Basket {
    fn with(mut self, thing: &'static str) -> Self {
        self.things.insert(thing);
        self
    }

    fn without(mut self, thing: &'static str) -> Self {
        self.things.remove(thing);
        self
    }
}

fn synchronise(one: &mut Replica, other: &mut Replica) {
    one.cart.sync(&other.cart);
    other.cart.sync(&one.cart);
    assert_eq!(one.cart, other.cart, "replicas that have met agree");
    println!("  {one}");
}

fn main() -> Result<(), ContextError> {
    let (mut berlin, mut lisbon) = (Replica::new("berlin"), Replica::new("lisbon"));

    println!("Mary and Peter share a cart. Mary puts bread into it, and the replicas meet:");
    berlin.write(&Basket::default().with("bread"))?;
    synchronise(&mut berlin, &mut lisbon);

    println!("\nThe network breaks. Peter, in Lisbon, adds milk to what he has read:");
    lisbon.write(&lisbon.read().with("milk"))?;

    println!("Mary, in Berlin, adds eggs from two windows that both were open before:");
    let (first, second) = (berlin.read(), berlin.read());
    berlin.write(&first.with("eggs"))?;
    berlin.write(&second.with("butter"))?;
    println!(
        "Both writes went through one replica, and neither had read the other: both are kept."
    );

    println!("\nThe network heals. Nobody had read the others, so there are three siblings:");
    synchronise(&mut berlin, &mut lisbon);
    assert_eq!(berlin.cart.len(), 3);

    println!("\nPeter sees one cart with everything in it, and puts back the butter:");
    let seen = lisbon.read();
    assert_eq!(
        seen.things,
        Things::from(["bread", "butter", "eggs", "milk"])
    );
    lisbon.write(&seen.without("butter"))?;

    println!("His write replaces the three that he has read, on the other side too:");
    synchronise(&mut berlin, &mut lisbon);
    assert_eq!(berlin.cart.len(), 1);
    assert_eq!(
        berlin.read().things,
        Things::from(["bread", "eggs", "milk"])
    );

    println!("\nNothing was lost, and nothing that was taken out came back.");
    Ok(())
}

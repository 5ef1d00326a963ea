//! From a text to a history.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::serializability::edn::form::{Atom, EdnError, Form, Forms};
use crate::serializability::history::{TxnError, TxnHistory, TxnId};

/// Reads a history.
///
/// # Errors
/// [`EdnError`] with the line of the first event that is none, or does not fit those before: a
/// process that completes what it did not invoke, or invokes before it completed, and times that go
/// back.
pub fn read(text: &str) -> Result<TxnHistory<Atom, Atom>, EdnError> {
    let mut forms = Forms::new(text);
    let mut reading = Reading::default();
    let is_vector = forms.enters();
    while let Some(form) = forms.next()? {
        let line = forms.line();
        let event = reading.event(&form);
        event.map_err(|what| EdnError { line, what })?;
    }
    if is_vector && forms.next()?.is_some() {
        let line = forms.line();
        let what = "something stands behind the vector of events";
        return Err(EdnError { line, what });
    }
    let line = forms.line();
    let ended = reading.end();
    ended.map_err(|what| EdnError { line, what })?;
    Ok(reading.history)
}

#[derive(Default)]
struct Reading {
    history: TxnHistory<Atom, Atom>,
    /// What each process has invoked and not completed.
    open: BTreeMap<i64, (TxnId, Vec<Micro>)>,
    lists: Option<bool>,
    last: Duration,
    events: u64,
}

/// An operation of a transaction, as it is written.
enum Micro {
    Read(Atom, Option<Shown>),
    Append(Atom, Atom),
    Write(Atom, Atom),
}

/// What a read returned; `nil` is an absent register or an empty list.
enum Shown {
    Nil,
    Value(Atom),
    List(Vec<Atom>),
}

impl Reading {
    fn event(&mut self, form: &Form) -> Result<(), &'static str> {
        let kind = form.field("type").and_then(Form::keyword);
        let kind = kind.ok_or("an event is a map with a :type")?;
        let process = form.field("process").ok_or("an event has no :process")?;
        let Some(process) = process.integer() else {
            return Ok(());
        };
        let at = self.time(form.field("time"))?;
        if kind == "invoke" {
            let txn = self.micros(form.field("value"), true)?;
            let id = self.history.begin(at).map_err(reason)?;
            let before = self.open.insert(process, (id, txn));
            return match before {
                None => Ok(()),
                Some(_) => Err("the process has not completed what it invoked before"),
            };
        }
        let open = self.open.remove(&process);
        let (id, invoked) = open.ok_or("the process has invoked nothing")?;
        match kind {
            "ok" => {
                let txn = self.micros(form.field("value"), false)?;
                self.record(id, txn)?;
                self.history.commit(id, at).map_err(reason)
            }
            "fail" => {
                self.record(id, invoked)?;
                self.history.abort(id).map_err(reason)
            }
            "info" => {
                self.record(id, invoked)?;
                self.history.unknown(id).map_err(reason)
            }
            _ => Err("a :type is :invoke, :ok, :fail or :info"),
        }
    }

    fn end(&mut self) -> Result<(), &'static str> {
        for (id, invoked) in std::mem::take(&mut self.open).into_values() {
            self.record(id, invoked)?;
            self.history.unknown(id).map_err(reason)?;
        }
        Ok(())
    }

    fn time(&mut self, form: Option<&Form>) -> Result<Duration, &'static str> {
        self.events += 1;
        let at = match form {
            None | Some(Form::Nil) => Some(self.events),
            Some(time) => time.integer().and_then(|time| time.try_into().ok()),
        };
        let at = Duration::from_nanos(at.ok_or("a :time is a number of nanoseconds")?);
        if at < self.last {
            return Err("the :time goes back");
        }
        self.last = at;
        Ok(at)
    }

    fn record(&mut self, id: TxnId, txn: Vec<Micro>) -> Result<(), &'static str> {
        let (history, lists) = (&mut self.history, self.lists == Some(true));
        for micro in txn {
            let recorded = match micro {
                Micro::Append(key, value) => history.append(id, key, value),
                Micro::Write(key, value) => history.write(id, key, value),
                Micro::Read(_, None) => Ok(()),
                Micro::Read(key, Some(Shown::List(list))) => history.read_list(id, key, list),
                Micro::Read(key, Some(Shown::Value(value))) => history.read(id, key, Some(value)),
                Micro::Read(key, Some(Shown::Nil)) if lists => {
                    history.read_list(id, key, Vec::new())
                }
                Micro::Read(key, Some(Shown::Nil)) => history.read(id, key, None),
            };
            recorded.map_err(reason)?;
        }
        Ok(())
    }

    /// The operations of a transaction. What an invocation reads is not known yet.
    fn micros(&mut self, form: Option<&Form>, invokes: bool) -> Result<Vec<Micro>, &'static str> {
        let Some(Form::Sequence(forms)) = form else {
            return Err("a :value is a vector of operations");
        };
        forms.iter().map(|form| self.micro(form, invokes)).collect()
    }

    fn micro(&mut self, form: &Form, invokes: bool) -> Result<Micro, &'static str> {
        const SHAPE: &str = "an operation is [:append k v], [:w k v] or [:r k v]";
        let Form::Sequence(parts) = form else {
            return Err(SHAPE);
        };
        let [name, Form::Atom(key), value] = &parts[..] else {
            return Err(SHAPE);
        };
        let key = key.clone();
        match (name.keyword(), value) {
            (Some("append"), Form::Atom(value)) => {
                self.holds(true)?;
                Ok(Micro::Append(key, value.clone()))
            }
            (Some("w"), Form::Atom(value)) => {
                self.holds(false)?;
                Ok(Micro::Write(key, value.clone()))
            }
            (Some("r"), _) if invokes => Ok(Micro::Read(key, None)),
            (Some("r"), Form::Nil) => Ok(Micro::Read(key, Some(Shown::Nil))),
            (Some("r"), Form::Atom(value)) => {
                self.holds(false)?;
                Ok(Micro::Read(key, Some(Shown::Value(value.clone()))))
            }
            (Some("r"), Form::Sequence(list)) => {
                self.holds(true)?;
                let list = list.iter().map(|form| match form {
                    Form::Atom(value) => Ok(value.clone()),
                    _ => Err("a list holds numbers, keywords or strings"),
                });
                let list: Result<_, _> = list.collect();
                Ok(Micro::Read(key, Some(Shown::List(list?))))
            }
            _ => Err(SHAPE),
        }
    }

    fn holds(&mut self, lists: bool) -> Result<(), &'static str> {
        match *self.lists.get_or_insert(lists) == lists {
            true => Ok(()),
            false => Err("a history is of lists or of registers, not of both"),
        }
    }
}

fn reason(error: TxnError) -> &'static str {
    match error {
        TxnError::MixedKey { .. } => "a key is used as a list and as a register",
        TxnError::Full => "the history is full",
        _ => "the event does not fit those before",
    }
}

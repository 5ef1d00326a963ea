//! Stories of bugs that implementations of Raft have had, each a text that a person reads: commands,
//! and below each what the nodes did then. `tests/testdata/*.txt` holds them; `TESTING.md` of
//! this crate lists the commands.
//!
//! `UPDATE=1 cargo test -p synod-raft --test scripts` writes what happened below the commands. What
//! a story is about stands in its `expect` lines, which no update can make true, and the invariants
//! of the checker hold after every step.

#[cfg(test)]
mod arguments;
#[cfg(test)]
mod difference;
#[cfg(test)]
mod expect;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(test)]
mod notation;
#[cfg(test)]
mod script;
#[cfg(test)]
mod selector;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod story;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use crate::difference;
    use crate::script::Script;
    use crate::stage::Stage;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/testdata")
    }

    /// Plays a script and gives back its text as it should be, as far as it goes, and what went
    /// wrong.
    fn play(name: &str, text: &str) -> (String, Result<(), String>) {
        let mut script = match Script::parse(text) {
            Ok(script) => script,
            Err(error) => {
                return (
                    text.to_owned(),
                    Err(format!("tests/testdata/{name}:{error}")),
                );
            }
        };
        let mut stage = Stage::default();
        let mut result = Ok(());
        for block in script.blocks_mut() {
            let mut lines = Vec::new();
            result = block.commands.iter().try_for_each(|command| {
                let (told, played) = stage.play(&command.text);
                lines.extend(told);
                let (line, text) = (command.line, &command.text);
                played.map_err(|why| format!("tests/testdata/{name}:{line}: `{text}`: {why}"))
            });
            block.set_output(lines);
            if result.is_err() {
                break;
            }
        }
        (script.to_string(), result)
    }

    fn check(name: &str) {
        let name = format!("{name}.txt");
        let path = folder().join(&name);
        let written = std::fs::read_to_string(&path).expect("the script is there");
        let (played, result) = play(&name, &written);
        let update = std::env::var_os("UPDATE").is_some();
        if update && played != written {
            std::fs::write(&path, &played).expect("the script can be written");
        }
        if let Err(error) = result {
            panic!("\n{error}\n");
        }
        assert!(
            played == written || update,
            "\ntests/testdata/{name} tells otherwise (- written, + played):\n{}\nIf this is as it \
             should be: UPDATE=1 cargo test -p synod-raft --test scripts\n",
            difference::between(&written, &played)
        );
    }

    /// A test for each script, so that one can be named.
    macro_rules! scripts {
        ($($name:ident)*) => {
            $(#[test] fn $name() { check(stringify!($name)); })*
            const NAMES: &[&str] = &[$(stringify!($name)),*];
        };
    }

    scripts! {
        a10_delayed_append
        a11_truncation_at_the_ends
        a1_commit_with_own_term
        a1_figure_8
        a2_commit_past_the_match
        a3_commit_without_quorum
        a4_stale_acknowledgement
        a4_stale_refusal
        a5_receipt_for_a_replaced_entry
        a6_writes_out_of_order
        a7_compacted_before_the_append
        a8_log_cannot_be_read
        a9_append_fails_after_truncation
        b1_own_vote_counted_early
        b1_request_not_durable
        b1_two_step_vote
        b1_vote_not_durable
        b2_vote_write_fails
        b3_vote_lost
        b4_fresh_node_votes_twice
        b5_late_pre_vote
        b6_refusal_in_term_0
        b7_last_term
        c10_snapshot_is_contact
        c11_unheard_node
        c14_unapplied_entries
        c15_half_is_no_majority
        c1_away_unseats_nobody
        c1_stuck_in_a_later_term
        c2_cut_link
        c3_quorum_loss
        c4_constrained_election
        c5_chained
        c6_leader_without_quorum
        c7_stalled_disk
        c7_stalled_reads
        c8_later_term_is_no_contact
        c9_bad_disk_campaigns
        c9_slow_disks
        e1_read_before_the_first_commit
        e2_old_echo
        e3_deposed_leader
        e4_sole_voter_reads
        e7_reads_end
        f11_commit_behind_the_snapshot
        f1_conflict_at_the_snapshot
        f1_match_at_the_snapshot
        f2_newer_snapshot
        f2_stale_snapshot
        f3_snapshot_contradicts_commit
        f3_snapshot_contradicts_leader
        f4_leader_without_entries
        f5_beyond_the_offer
        f6_crash_before_the_record
        f6_crash_before_the_restore
        f7_snapshot_record_fails
        f8_older_snapshot
        f9_proposal_inside_a_snapshot
        g_forgotten_needed_copy
        g_forgotten_tail
        g_forgotten_under_an_old_tail
        g6_all_full
        g6_full_leader
        g6_full_node_waits
        g6_full_quorum_keeps_a_leader
        g6_laggard_has_room
        h2_lost_append
        n4_climb
        n4_leap
        t1_gap_in_a_run
        v_ack_of_the_whole_log
        v_committed_entry_replaced
        v_first_acknowledgement
        v_install_below_the_match
        v_leader_installs
        v_leader_takes_back
        v_own_copy_not_durable
        v_restarted_follower
        v_vote_counted_twice
        v_vote_of_an_earlier_term
        v_vote_without_log_check
    }

    #[test]
    fn every_script_is_played() {
        let files = std::fs::read_dir(folder()).expect("the folder of the scripts");
        let names = files.map(|file| {
            let path = file.expect("a file").path();
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        });
        let scripts = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned));
        let scripts: BTreeSet<String> = scripts.collect();
        assert_eq!(scripts, NAMES.iter().map(ToString::to_string).collect());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let text = "# A comment.\n\nadd-nodes 3\n----\n\ncampain 1\n----\n";
        let error = play("x.txt", text).1.unwrap_err();
        assert_eq!(
            error,
            "tests/testdata/x.txt:6: `campain 1`: there is no command `campain`"
        );
        let text = "add-nodes 3\n----\n\nexpect 2 leads\n";
        let error = play("x.txt", text).1.unwrap_err();
        assert_eq!(
            error,
            "tests/testdata/x.txt:4: `expect 2 leads`: 2 follows nobody in term 0"
        );
    }

    #[test]
    fn what_happened_is_written_below_its_command() {
        let text = "add-nodes 3\n----\nanything\n\ncampaign 1\n";
        let played = play("x.txt", text).0;
        assert_ne!(played, text);
        assert_eq!(play("x.txt", &played).0, played);
        assert!(difference::between(text, &played).contains("-anything"));
    }
}

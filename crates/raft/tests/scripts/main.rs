//! Scripts of bugs that implementations of Raft have had, as readable text: commands, followed by
//! what the nodes did. They are in `tests/testdata/*.txt`; `TESTING.md` of this crate lists the
//! commands.
//!
//! `UPDATE=1 cargo test -p synod-raft --test scripts` writes what happened below the commands. What
//! a script is about is in its `expect` lines, which no update can make true, and the checker
//! verifies the invariants after every step.

#[cfg(test)]
mod cast;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;

#[cfg(test)]
mod tests {
    use synod_raft::Membership;
    use synod_sim::cluster::ClusterStage;
    use synod_sim::script::{Folder, play};

    use crate::harness::core::Cores;
    use crate::harness::notation::{NAMES, message_text, parse_message};

    fn folder() -> Folder {
        let update = "cargo test -p synod-raft --test scripts";
        Folder::new(env!("CARGO_MANIFEST_DIR"), "tests/testdata", update)
    }

    synod_sim::scripts! {
        folder(), ClusterStage::<Cores>::default();
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
        b6_low_priority_campaigns
        b6_only_low_priority_can_lead
        b6_refusal_in_term_0
        b7_last_term
        c10_snapshot_is_contact
        c11_learner_does_not_campaign
        c11_removed_node
        c11_unheard_node
        c12_lagging_target
        c12_lost_timeout_now
        c12_message_asked_again
        c12_no_room
        c12_preferred_is_full
        c12_preferred_lags
        c12_proposal_during_transfer
        c12_stale_timeout_now
        c12_target_dies
        c12_target_dies_as_candidate
        c12_transfer
        c12_transfer_to_low_priority
        c12_two_transfers
        c14_unapplied_entries
        c15_half_is_no_majority
        c15_leader_of_two_goes
        c15_one_of_two_goes
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
        d10_two_changes
        d11_snapshot_names_the_nodes
        d12_not_in_its_own_majority
        d12_removed_leader_goes
        d12_removed_leader_without_heir
        d13_strangers_count_for_nothing
        d14_id_used
        d1_change_before_the_first_commit
        d1_two_changes_overlap
        d2_leader_lost_in_joint
        d3_end_comes_again
        d4_effective_when_appended
        d5_rolled_back_with_its_entry
        d6_two_uncommitted
        d7_last_two_at_different_memberships
        d8_joint_from_the_disk
        d9_lagging_learner
        d9_too_slow
        e1_read_before_the_first_commit
        e2_old_echo
        e3_deposed_leader
        e4_sole_voter_reads
        e6_clocks_within_the_bound
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
        g6_all_full
        g6_full_leader
        g6_full_node_waits
        g6_full_quorum_keeps_a_leader
        g6_laggard_has_room
        g_forgotten_needed_copy
        g_forgotten_tail
        g_forgotten_under_an_old_tail
        h2_lost_append
        l1_lease_is_granted
        l2_lease_counts_from_the_sending
        l2_lease_of_a_joint_membership
        l2_no_entry_of_the_own_term
        l3_nothing_promised_before_a_record
        l3_promise_outlives_the_term
        l3_restart_within_a_promise
        l4_lease_after_a_failed_transfer
        l4_lease_after_a_transfer
        l4_released_by_another_leader
        m1_learner_votes
        m1_learners_vote_is_not_counted
        m3_abort_by_the_next_leader
        m3_new_nodes_died
        m3_too_late_to_abort
        m4_leader_lost_at_each_step
        m6_heir_dies
        m6_last_word_is_lost
        m6_preferred_gave_up
        m6_stalled_disk_has_no_heir
        m7_one_copy
        m7_withheld_from_a_full_node
        m7_witness_campaigns
        m7_witness_is_no_target
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
    fn an_expectation_fails_with_what_is_so_instead() {
        let text = "add-nodes 3\n----\n\nexpect 2 leads\n";
        let failure = play(text, &mut ClusterStage::<Cores>::default()).failure;
        assert_eq!(
            failure.unwrap().to_string(),
            "4: `expect 2 leads`: 2 follows nobody in term 0"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "Append(term 2, prev 1.1, [1.2 x], [2.3 noop], commit 1)",
            "Append(term 2, prev 1.1, commit 1)",
            "Heartbeat(term 1, round 3, commit 1, matched 2)",
            "Commit(term 1, commit 2)",
            "Snapshot(term 2, last 1.5)",
            "RequestVote(term 1, last 0.0)",
            "Vote(term 1, granted)",
            "Appended(term 1, last 2)",
            "Installed(term 1, last 1.5)",
            "HeartbeatEcho(term 1, round 3, matched 1)",
            "HeartbeatEcho(term 1, round 3, matched 1, full)",
            "Heartbeat(term 1, round 3, commit 1, matched 2, lease 150)",
            "HeartbeatEcho(term 1, round 3, matched 1, grants 100)",
            "PreVote(term 1, granted, syncs 250)",
            "PreVote(term 1, granted, priority 5)",
            "HeartbeatEcho(term 1, round 3, matched 1, full, grants 100, stands back)",
            "Rejected(term 1, prev 1.3, hint 1.1)",
            "Forgot(term 1, acknowledged 3, holds 1)",
            "Stale(term 9)",
            "Removed(term 9)",
            "Left(term 9)",
            "RequestPreVote(term 1, last 0.0)",
            "PreVote(term 1, refused)",
        ] {
            let message = parse_message(text, &Membership::default());
            assert_eq!(
                message.map(|message| message_text(&message)),
                Ok(text.to_owned())
            );
            let name = text.split('(').next();
            assert!(name.is_some_and(|name| NAMES.contains(&name)));
        }
        for text in [
            "Vote(term 1)",
            "Vote(granted)",
            "Stale(term 1, round 2)",
            "Nonsense(term 1)",
        ] {
            assert!(parse_message(text, &Membership::default()).is_err());
        }
    }
}

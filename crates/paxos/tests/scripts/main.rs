//! Scripts of bugs that implementations of Paxos and related protocols have had, as readable text:
//! commands, followed by what the nodes did. They are in `tests/testdata/*.txt`; `TESTING.md` of
//! this crate lists the commands.
//!
//! `UPDATE=1 cargo test -p synod-paxos --test scripts` writes what happened below the commands.
//! What a script is about is in its `expect` lines, which no update can make true, and the checker
//! verifies the invariants after every step.

#[cfg(test)]
mod cast;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;

#[cfg(test)]
mod tests {
    use synod_paxos::{Configuration, Configurations, Membership, NodeId, Quorums};
    use synod_sim::cluster::ClusterStage;
    use synod_sim::script::{Folder, play};

    use crate::harness::core::Cores;
    use crate::harness::notation::{NAMES, message_text, parse_message};

    fn folder() -> Folder {
        let update = "cargo test -p synod-paxos --test scripts";
        Folder::new(env!("CARGO_MANIFEST_DIR"), "tests/testdata", update)
    }

    synod_sim::scripts! {
        folder(), ClusterStage::<Cores>::default();
        a10_delayed_accept
        a4_vote_of_an_earlier_ballot
        a5_receipt_for_a_replaced_vote
        a8_log_cannot_be_read
        b2_promise_write_fails
        b3_promise_lost
        b5_late_answer
        b6_fresh_cluster_with_priorities
        b6_not_during_a_change
        b6_preferred_is_not_fit
        b6_preferred_leads_after_a_while
        b7_last_round
        c11_removed_was_away
        c15_one_of_two
        c12_lagging_target
        c12_lost_invitation
        c12_preferred_does_not_take_over
        c12_proposal_during_transfer
        c12_stale_invitation
        c12_target_dies
        c12_target_dies_as_candidate
        c12_transfer
        c12_transfer_to_low_priority
        c12_two_transfers
        c1_away_unseats_nobody
        c2_cut_link
        c3_quorum_loss
        c4_constrained_election
        c5_chained
        c6_leader_without_quorum
        c7_stalled_disk
        c7_stalled_reads
        c8_preempted_is_no_contact
        c9_bad_disk_campaigns
        c9_slow_disks
        d10_too_late_to_abort
        d10_two_requests
        d11_snapshot_between
        d12_removed_leader
        d14_removed_id
        d1_behind_another
        d2_leader_lost
        d4_told_by_a_promise
        d4_unknown_to_the_next
        d5_not_chosen
        d7_survivors_differ
        d9_too_slow
        e1_read_before_what_was_found
        e2_old_echo
        e4_sole_acceptor_reads
        e6_clocks_within_the_bound
        e7_reads_end
        e8_flexible_reads
        f2_stale_snapshot
        f3_snapshot_contradicts
        f5_beyond_the_offer
        f6_crash_before_the_record
        f7_snapshot_record_fails
        g_forgotten_votes
        g6_all_full
        g6_full_leader
        g6_full_node_waits
        g6_full_quorum_keeps_a_leader
        h2_lost_accept
        i10_quorums_that_need_not_meet
        i11_highest_vote_wins
        i12_sparse_ids
        i13_ballots_are_learned
        i1_own_vote_counted_early
        i1_promise_not_durable
        i1_vote_not_durable
        i2_ballot_used_twice
        i4_longer_log_of_a_lower_ballot
        i6_pages_of_different_prefixes
        i8_chosen_before_the_value
        i8_vote_of_another_ballot
        i9_promise_counted_twice
        i9_vote_counted_twice
        l1_lease_is_granted
        l1_no_lease_is_configured
        l2_lease_counts_from_the_sending
        l2_not_before_its_predecessors
        l3_new_nodes_wait_for_nothing
        l3_nothing_granted_before_the_record
        l3_restart_within_a_promise
        l4_invited_by_another_leader
        l4_lease_after_a_failed_transfer
        l4_lease_after_a_transfer
        l5_coming_configuration
        l5_former_configuration
        l5_phase_2_quorum
        l5_prepare_within_a_promise
        l8_answer_to_an_earlier_read
        l8_flexible_quorum
        l8_later_configuration
        l8_quorum_read
        m6_invitation_is_lost
        m6_no_quorum_invites_nobody
        m6_stalled_disk_hands_over
        m6_who_gave_up_is_not_preferred
        n4_climb
        n4_leap
        v_alpha
        v_chosen_value_replaced
        v_far_promise
        v_first_acknowledgement
        v_gap_left_unfilled
        v_leader_far_behind
        v_old_proposal_lives
        v_peers_know_more
        v_promise_in_pages
        v_stale_leader_learns
    }

    #[test]
    fn an_expectation_fails_with_what_is_so_instead() {
        let text = "add-nodes 3\n----\n\nexpect 2 leads\n";
        let failure = play(text, &mut ClusterStage::<Cores>::default()).failure;
        assert_eq!(
            failure.unwrap().to_string(),
            "4: `expect 2 leads`: 2 follows nobody and has promised 0.0"
        );
    }

    fn configurations() -> Configurations {
        let quorums = Quorums::majority([NodeId(1)]).unwrap();
        Configurations::first(Configuration::first(Membership::of(quorums)))
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "Accept(ballot 2.1, first 5, [x], [noop], [y of 1.3], chosen 4)",
            "Heartbeat(ballot 1.1, round 3, chosen 1, through 2)",
            "Heartbeat(ballot 1.1, round 3, chosen 1, through 2, settled 4)",
            "Chosen(ballot 1.1, chosen 2)",
            "Settle(ballot 1.1, slot 9)",
            "Settled(ballot 1.1, slot 9)",
            "Removed(promised 1.1, number 2)",
            "Prepare(ballot 1.1, from 1, number 2)",
            "Snapshot(ballot 2.1, last 5@1.1)",
            "Prepare(ballot 1.1, from 1)",
            "Prepare(ballot 2.3, from 1, number 2, invited 1.1)",
            "Heartbeat(ballot 1.1, round 3, chosen 1, through 2, settled 4, lease 100)",
            "HeartbeatEcho(ballot 1.1, round 3, through 1, chosen 1, behind, full, priority 7, grants 7)",
            "Promise(ballot 3.1, from 1, [2@2.1 x], [4@1.2 noop], next 7, chosen 1)",
            "Promise(ballot 3.1, from 1, chosen 1)",
            "Accepted(ballot 1.1, first 1, last 2)",
            "Ask(promised 0.0, attempt 1)",
            "Ask(promised 0.0, attempt 1, full, syncs 250)",
            "Answer(promised 1.1, attempt 1, no_leader, chosen 0)",
            "Answer(promised 1.1, attempt 1, has_leader, chosen 0)",
            "HeartbeatEcho(ballot 1.1, round 3, through 1, chosen 1)",
            "HeartbeatEcho(ballot 1.1, round 3, through 1, chosen 1, behind)",
            "HowFar(promised 9.2, life 1, number 4)",
            "Voted(promised 9.2, life 1, number 4, last 7)",
            "Preempted(promised 9.2)",
            "Learn(ballot 1.1, from 1, to 4)",
            "Learned(ballot 1.1, first 1, [x], [y])",
            "Offer(ballot 1.1, last 5@1.1)",
        ] {
            let message = parse_message(text, &configurations());
            assert_eq!(
                message.map(|message| message_text(&message)),
                Ok(text.to_owned())
            );
            let name = text.split('(').next();
            assert!(name.is_some_and(|name| NAMES.contains(&name)));
        }
        for text in [
            "Prepare(ballot 1.1)",
            "Prepare(from 1)",
            "Preempted(promised 9.1, round 2)",
            "Nonsense(ballot 1.1)",
        ] {
            assert!(parse_message(text, &configurations()).is_err());
        }
    }
}

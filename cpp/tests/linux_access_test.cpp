// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "linux/access.h"

using namespace snapcore::linux_os;

namespace {

constexpr std::uint64_t kSysPtrace = 1ull << 19, kDacReadSearch = 1ull << 2;

Credentials user(std::uint32_t id) {
    Credentials out;
    out.uids = {id, id, id};
    out.gids = {id, id, id};
    return out;
}

// The same user on both sides, and nothing known that would refuse.
AccessFacts refused() {
    AccessFacts facts;
    facts.call = "PTRACE_SEIZE";
    facts.error = EPERM;
    facts.caller = facts.target = user(1000);
    facts.dumpable = true;
    return facts;
}

bool says(const AccessFacts& facts, const char* text) {
    const std::string why = explain_refusal(facts);
    CAPTURE(why);
    return why.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("credentials of a status text") {
    const Credentials c = parse_credentials(
        "Name:\tUid: 7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapPrm:\t00000000a80425fb\n"
        "CapEff:\t0000000000080000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n");
    CHECK(c.uids == std::array<std::uint32_t, 3>{1, 2, 3});
    CHECK(c.gids == std::array<std::uint32_t, 3>{5, 6, 7});
    CHECK(c.permitted == 0xa80425fb);
    CHECK(c.effective == kSysPtrace);
    CHECK(c.no_new_privs);
    CHECK(c.seccomp == 2);
    CHECK(parse_credentials("").seccomp == 0);
}

TEST_CASE("another user: both are named, and the capability") {
    AccessFacts facts = refused();
    facts.target = user(0);
    CHECK(says(facts, "belongs to user 0 and this is user 1000"));
    CHECK(says(facts, "CAP_SYS_PTRACE"));
    facts.caller.effective = kSysPtrace;
    CHECK_FALSE(says(facts, "belongs to"));
}

TEST_CASE("ptrace goes by the real user id, a file of /proc by the effective one") {
    AccessFacts facts = refused();
    facts.caller.uids = {1000, 2000, 2000};
    CHECK_FALSE(says(facts, "belongs to"));
    facts.call = "openat";
    CHECK(says(facts, "belongs to user 1000 and this is user 2000"));
}

TEST_CASE("a set-user-id program, another group") {
    AccessFacts facts = refused();
    facts.target.uids = {1000, 0, 0};
    CHECK(says(facts, "set-user-id program (its user is 1000, effective 0, saved 0"));
    facts = refused();
    facts.target.gids = {1000, 44, 44};
    CHECK(says(facts, "its group is 1000, effective 44, saved 44 and here it is 1000"));
}

TEST_CASE("not dumpable, or perhaps not") {
    AccessFacts facts = refused();
    facts.dumpable = false;
    CHECK(says(facts, "it is not dumpable: prctl(PR_SET_DUMPABLE, 0)"));
    facts.dumpable.reset();
    CHECK(says(facts, "or the target is not dumpable"));
    facts.caller.effective = facts.caller.permitted = kSysPtrace;
    CHECK_FALSE(says(facts, "dumpable"));
}

TEST_CASE("capabilities that the caller lacks") {
    AccessFacts facts = refused();
    facts.target.permitted = 0x3000;
    facts.caller.permitted = 0x1000;
    CHECK(says(facts, "CapPrm 0000000000003000 there, 0000000000001000 here"));
    facts.caller.permitted = 0x7000;
    CHECK_FALSE(says(facts, "CapPrm"));
    // Not effective, so of no use for files of /proc.
    facts.call = "openat";
    CHECK(says(facts, "CapPrm"));
}

TEST_CASE("every scope of Yama") {
    AccessFacts facts = refused();
    facts.yama_scope = 0;
    CHECK_FALSE(says(facts, "yama"));
    facts.yama_scope = 1;
    CHECK(says(facts, "ptrace_scope is 1: only an ancestor"));
    CHECK(says(facts, "PR_SET_PTRACER"));
    facts.is_descendant = true;
    CHECK_FALSE(says(facts, "yama"));
    facts.yama_scope = 2;
    CHECK(says(facts, "ptrace_scope is 2: run as root"));
    facts.caller.effective = kSysPtrace;
    CHECK_FALSE(says(facts, "yama"));
    facts.yama_scope = 3;
    CHECK(says(facts, "ptrace_scope is 3: no process"));
    facts.call = "open /proc/PID/mem";
    CHECK(says(facts, "ptrace_scope is 3: no process"));
    // Tables are read, nothing is traced.
    facts.call = "readlinkat";
    CHECK_FALSE(says(facts, "yama"));
}

TEST_CASE("no new privileges: the advice does not send anybody to sudo") {
    AccessFacts facts = refused();
    facts.target = user(0);
    CHECK_FALSE(says(facts, "NoNewPrivs"));
    facts.caller.no_new_privs = true;
    CHECK(says(facts, "NoNewPrivs is 1 here"));
}

TEST_CASE("a filter here is named first, and a security module last") {
    AccessFacts facts = refused();
    facts.target = user(0);
    facts.caller.seccomp = 2;
    facts.ptrace_is_filtered = true;
    CHECK(says(facts, "seccomp filter on this process refuses ptrace"));
    facts = refused();
    facts.caller.label = "docker-default (enforce)";
    facts.target.label = "unconfined";
    CHECK(says(facts, "here \"docker-default (enforce)\", there \"unconfined\""));
    facts = refused();
    facts.caller.seccomp = 2;
    CHECK(says(facts, "the seccomp filter of this process (Seccomp is 2 here)"));
}

TEST_CASE("another user namespace: capabilities here do not help") {
    AccessFacts facts = refused();
    facts.caller.effective = facts.caller.permitted = ~0ull;
    facts.other_user_namespace = true;
    CHECK(says(facts, "another user namespace"));
    CHECK(says(facts, "nsenter --user"));
}

TEST_CASE("a tracer that has no number here") {
    AccessFacts facts = refused();
    facts.traced_unseen = true;
    CHECK(says(facts, "outside this pid namespace"));
}

TEST_CASE("files of /proc that belong to somebody else") {
    AccessFacts facts = refused();
    facts.target = user(2000);
    facts.call = "open /proc/PID/mem";
    facts.error = EACCES;
    facts.caller.effective = kSysPtrace;
    CHECK(says(facts, "its owner (user 2000)"));
    CHECK(says(facts, "CAP_DAC_READ_SEARCH"));
    facts.dumpable = false;
    CHECK(says(facts, "its owner (user 0)"));
    facts.caller.effective |= kDacReadSearch;
    CHECK_FALSE(says(facts, "CAP_DAC_READ_SEARCH"));
}

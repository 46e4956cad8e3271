// emu_test - every CUDA kernel against its reference operator, without a GPU, under many schedules.
//
//     emu_test [--full] [--seeds N] [--only KERNEL] [--order forward|reverse|random] [--copies late|early] [--seed N]
//              [--accumulate nearest|sm80|sm90] [--capability 80|86|87|89|90|100|103|120]
//     emu_test --launches       runs nothing; prints the launches of all cases (PTX route): symbol, threads, bytes of
//     shared memory
//
// A kernel's error against exact arithmetic may be at most twice that of a naive kernel in the same precision, which is
// computed here (hold() in emu_test.h); integers must be equal to the bit. The schedules take the ways of tensor cores
// to add in turn (tests/emu/tensor_core.h) unless one is named; each kernel's worst error is printed as a part of what
// it may be. Buffers end at unreadable pages, outputs are NaN before the run. A failure prints the case, its parameters
// and the schedule, and the options that repeat it.
#include "emu_test.h"

#include <cstdio>
#include <cstdlib>

static int print_launches() {
    using namespace emu_test;
    std::set<std::string> launches;
    emu::launches = &launches;
    reporting = false;
    for (const Check *check : checks())
        for (const Case &c : check->cases) {
            if (c.tier > 1) continue;
            try {
                check->run(c, 7);
            } catch (const Failed &) { // outputs are not there
            }
        }
    for (const std::string &launch : launches) printf("%s\n", launch.c_str());
    return launches.empty();
}

int main(int argc, char **argv) {
    using namespace emu_test;
    bool full = false, one_schedule = false;
    int seeds = 2, core = -1; // in turn
    std::string only;
    if (getenv("SAMC_EMU_ACCUMULATE") != nullptr) core = emu::config.core;
    emu::Config chosen;
    for (int i = 1; i < argc; i++) {
        std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
        if (option == "--launches") return print_launches();
        if (option == "--full") full = true;
        else if (option == "--seeds" && ++i < argc) seeds = atoi(value.c_str());
        else if (option == "--only" && ++i < argc) only = value;
        else if (option == "--capability" && ++i < argc) emu::capability = atoi(value.c_str());
        else if (option == "--accumulate" && tensor_core_named(value.c_str()) >= 0) core = tensor_core_named(argv[++i]);
        else if (option == "--order" && ++i < argc) {
            one_schedule = true;
            chosen.order = value == "reverse"  ? emu::Order::reverse
                           : value == "random" ? emu::Order::random
                                               : emu::Order::forward;
        } else if (option == "--copies" && ++i < argc) {
            one_schedule = true;
            chosen.early_copies = value == "early";
        } else if (option == "--seed" && ++i < argc) {
            one_schedule = true;
            chosen.seed = strtoull(value.c_str(), nullptr, 10);
        } else {
            fprintf(stderr, "usage: emu_test [--full] [--seeds N] [--only KERNEL] [--order ORDER] [--copies "
                            "late|early] [--seed N]\n"
                            "                [--accumulate nearest|sm80|sm90] [--capability N]\n");
            return 2;
        }
    }
    // Forward and reverse with late and early copies, then seeded random orders with both in turn.
    std::vector<emu::Config> schedules;
    if (one_schedule) schedules.push_back(chosen);
    else {
        for (int i = 0; i < 4 + seeds; i++) {
            emu::Config s;
            s.order = i < 4 ? (i / 2 ? emu::Order::reverse : emu::Order::forward) : emu::Order::random;
            s.early_copies = i % 2 != 0;
            s.seed = uint64_t(i < 4 ? 1 : i - 3);
            schedules.push_back(s);
        }
    }
    // Orders and rounding have nothing to do with each other: a schedule for each core is enough, and repeated cases
    // are what costs.
    for (size_t i = 0; i < schedules.size(); i++) schedules[i].core = core >= 0 ? core : int(i % TENSOR_CORES);
    int runs = 0;
    for (const Check *check : checks()) {
        worst_of_gate = 0;
        for (const Case &c : check->cases) {
            if (c.tier > (full ? 1 : 0) || (!only.empty() && only != check->kernel)) continue;
            // SAM's own shapes are long: the schedules there are one of each kind.
            size_t count = c.tier && schedules.size() > 4 ? 2 : schedules.size();
            for (size_t i = 0; i < count; i++) {
                emu::config = schedules[c.tier && i ? 3 : i]; // full: forward late, reverse early
                if (c.tier && core < 0) emu::config.core = i ? TENSOR_SM80 : TENSOR_SM90; // the two that hardware has
                emu::config.what = what(*check, c) + ", sums as " + tensor_cores[emu::config.core].name;
                reporting = i == 0;
                emu::now.counters = {};
                check->run(c, 7);
                runs++;
            }
        }
        if (worst_of_gate > 0) printf("%s: at worst %.2f of what is allowed\n", check->kernel, worst_of_gate);
    }
    printf("%d runs passed\n", runs);
    return runs == 0;
}

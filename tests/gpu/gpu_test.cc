// The checks of tests/emu on a real GPU: a verb of samc-gpu (main.cc).
//
//     check --list                                        the operators, one a line
//     check --only OPERATOR [--from-tier N] [--tier N] [--repeat N] [--time] [--most N] [--rough] [--exact] [--direct]
//           [--case-seconds N [--processor-time]] [--json FILE]
//
// A child runs the cases, since a failed kernel leaves a process without a usable device: when it ends or hangs, its
// case has failed and a new child goes on with the next; --direct goes without a child. --json appends one line of JSON
// for each case. Exit 1 if a case failed, 2 for wrong options.
#include "around_launch.h"
#include "emu_test.h"
#include "verbs.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace emu_test;

namespace {

constexpr size_t kMostFailures = 8; // of one operator: then the rest would say the same

struct Options {
    std::string only, json;
    int tier = 0, first_tier = 0, repeat = 1, case_seconds = 60, most = 1 << 30;
    bool time = false, rough = false, exact = false, direct = false, processor_time = false;
};

struct Item {
    const Check *check;
    const Case *c;
};

std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= ' ' && c < 127 ? c : ' ';
    }
    return out + "\"";
}

// `rest`: members after the case's name, each after a comma.
void append(const Options &options, const Item &item, const std::string &rest) {
    if (options.json.empty()) return;
    FILE *file = std::fopen(options.json.c_str(), "a");
    if (file == nullptr) return;
    std::string name = what(*item.check, *item.c);
    std::fprintf(file, "{\"op\":%s,\"case\":%s%s}\n", quoted(item.check->kernel).c_str(), quoted(name).c_str(),
                 rest.c_str());
    std::fclose(file);
}

std::string number(const char *key, double value) {
    char text[80];
    std::snprintf(text, sizeof text, ",\"%s\":%.6g", key, value);
    return text;
}

void run_case(const Options &options, const Item &item) {
    emu::config.what = what(*item.check, *item.c);
    emu::capability = gpu_check::capability();
    gpu_check::state.exact = options.exact;
    gpu_check::state.rough = options.rough;
    for (int i = 0; i < options.repeat; i++) {
        gpu_check::new_case();
        work_flops = 0;
        reporting = i == 0;
        gpu_check::state.timing = options.time && i == 0;
        item.check->run(*item.c, 7);
        if (i) continue;
        std::string rest = ",\"status\":\"ok\"";
        if (options.time) {
            double warm = 0, cold = 0;
            std::string launches;
            for (const gpu_check::Launch &l : gpu_check::state.launches) {
                warm += l.warm_us;
                cold += l.cold_us;
                launches += (launches.empty() ? "{\"kernel\":" : ",{\"kernel\":") + quoted(l.kernel) +
                            number("warm_us", l.warm_us) + number("cold_us", l.cold_us) + "}";
            }
            rest += number("warm_us", warm) + number("cold_us", cold) + number("bytes", gpu_check::state.bytes) +
                    number("flops", work_flops) + ",\"launches\":[" + launches + "]";
        }
        append(options, item, rest);
    }
}

// What the case that begins may take: of wall time, as what a GPU does takes no other; on the emulation, of the
// processor's, which other programs beside it do not shorten.
void limit(const Options &options) {
    if (!options.processor_time) alarm(unsigned(options.case_seconds));
    const itimerval after = {{0, 0}, {options.case_seconds, 0}};
    if (options.processor_time) setitimer(ITIMER_PROF, &after, nullptr);
}

// Runs items[*next ..]; *next is in memory that outlives the child.
[[noreturn]] void child(const Options &options, const std::vector<Item> &items, volatile size_t *next) {
    for (; *next < items.size(); *next = *next + 1) {
        limit(options);
        run_case(options, items[*next]);
    }
    std::fflush(nullptr);
    _exit(0);
}

std::string why_of(int status, FILE *errors, int seconds) {
    std::string text = "exit " + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) text = "signal " + std::to_string(WTERMSIG(status));
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF))
        text = "took longer than " + std::to_string(seconds) + " s";
    char line[300];
    std::rewind(errors);
    while (std::fgets(line, sizeof line, errors) != nullptr) {
        std::fputs(line, stderr);
        text += text.size() < 500 ? std::string("; ") + line : "";
    }
    return text;
}

int run_all(const Options &options, const std::vector<Item> &items) {
    void *shared = mmap(nullptr, sizeof(size_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    volatile size_t *next = static_cast<volatile size_t *>(shared);
    size_t failures = 0;
    while (*next < items.size() && failures < kMostFailures) {
        FILE *errors = std::tmpfile();
        if (errors == nullptr) return 2;
        std::fflush(nullptr);
        pid_t pid = fork();
        if (pid == 0) {
            dup2(fileno(errors), 2);
            child(options, items, next);
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return 2;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            failures++;
            append(options, items[*next],
                   ",\"status\":\"failed\",\"why\":" + quoted(why_of(status, errors, options.case_seconds)));
            *next = *next + 1;
        }
        std::fclose(errors);
    }
    std::printf("%zu of %zu cases ran, %zu failed\n", size_t(*next), items.size(), failures);
    return failures != 0;
}

} // namespace

int check_main(int argc, char **argv) {
    Options options;
    gpu_check::state.checking = true;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
        if (option == "--list") list = true;
        else if (option == "--time") options.time = true;
        else if (option == "--rough") options.rough = true;
        else if (option == "--exact") options.exact = true;
        else if (option == "--direct") options.direct = true;
        else if (option == "--only" && ++i < argc) options.only = value;
        else if (option == "--json" && ++i < argc) options.json = value;
        else if (option == "--tier" && ++i < argc) options.tier = atoi(value.c_str());
        else if (option == "--from-tier" && ++i < argc) options.first_tier = atoi(value.c_str());
        else if (option == "--repeat" && ++i < argc) options.repeat = atoi(value.c_str());
        else if (option == "--most" && ++i < argc) options.most = atoi(value.c_str());
        else if (option == "--processor-time") options.processor_time = true;
        else if (option == "--case-seconds" && ++i < argc) options.case_seconds = atoi(value.c_str());
        else {
            std::fprintf(stderr, "samc-gpu check: option %s is unknown or lacks its value\n", option.c_str());
            return 2;
        }
    }
    std::vector<Item> items;
    for (const Check *check : checks()) {
        if (list) std::printf("%s\n", check->kernel);
        int taken = 0; // at most `most` of an operator
        for (const Case &c : check->cases)
            if (taken < options.most && c.tier >= options.first_tier && c.tier <= options.tier &&
                (options.only.empty() || options.only == check->kernel)) {
                items.push_back({check, &c});
                taken++;
            }
    }
    if (list) return 0;
    if (!options.direct) return run_all(options, items);
    for (const Item &item : items) run_case(options, item);
    gpu_check::new_case(); // frees the device's memory
    return 0;
}

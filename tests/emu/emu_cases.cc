// emu_cases.cc - the check of every CUDA kernel whose cases say what types it takes: the operator's own cases
// (kernels/<operator>/cases.c), in device memory, against the same case by the book in double precision.
//
// The naive kernel of the gate is the reference operator on the rounded inputs, its results rounded to theirs; bytes
// must be the reference's. Where attention meets 16 bits the naive kernel is the book once more with every step rounded
// (row.tensor); products on tensor cores have one of their operator's own (row.naive). An entry alone must have the
// bytes that it has in its batch. Of what would take the host too long some entries or rows are compared.
#include "device_case.h"
#include "emu_test.h"

extern "C" {
#include "tests/checkops/book.h"
}

#include <cmath>
#include <cstdlib>

namespace emu_test {

namespace {

// Of each buffer that the operator writes: numbers, or the reference's bytes. `entries`: of these alone, of c.p[0];
// none: of all.
struct Outcome {
    std::vector<int> entries;
    std::vector<Expected> numbers;
    std::vector<std::vector<unsigned char>> bytes;
};

// The inputs as the device has them: rounded to their types.
void round_inputs(check *host, const DeviceCase &device) {
    for (int i = 0; i < host->count; i++) {
        const buffer &b = host->buffers[i];
        if (b.role == OUT || !b.floats) continue;
        for (size_t j = 0; j < b.bytes / 4; j++)
            static_cast<float *>(b.data)[j] = rounded(device.type(i), static_cast<float *>(b.data)[j]);
    }
    keep_initial(host);
}

// The part of a buffer's n values that belongs to one of `entries`, or all; adds it to `to`.
template <class From, class To> void add_part(const From *from, size_t n, int entry, int entries, std::vector<To> *to) {
    const size_t part = n / size_t(entries);
    to->insert(to->end(), from + part * size_t(entry), from + part * size_t(entry + 1));
}

// The naive kernel in 16 bits, and exactly: of one entry of a batch that `host` is narrowed to, or of all.
void add_outcome_low(const row *r, const Case &c, const check *host, const DeviceCase &device, int entry, int entries,
                     Outcome *is) {
    const samc__dtype low = device.view_type();
    double *exact[MAX_BUFFERS], *naive[MAX_BUFFERS];
    evaluate(r, host, exact);
    evaluate_low(r, host, low, r->tensor(c.p, emu::capability), naive);
    for (int i = 0; i < host->count; i++) {
        if (exact[i] == nullptr) continue;
        const size_t n = host->buffers[i].bytes / 4;
        Expected &of = is->numbers[size_t(i)];
        const size_t from = of.naive.size();
        add_part(exact[i], n, entry, entries, &of.exact);
        add_part(naive[i], n, entry, entries, &of.naive);
        for (size_t j = from; j < of.naive.size(); j++) of.naive[j] = rounded(device.type(i), of.naive[j]);
        free(exact[i]);
        free(naive[i]);
    }
}

int every_of(const row *r, const Case &c) { return r->every == nullptr ? 1 : r->every(c.p); }

// By the operator's own naive kernel.
void add_outcome_naive(const row *r, const Case &c, const check *host, const DeviceCase &device, Outcome *is) {
    double *exact[MAX_BUFFERS], *naive[MAX_BUFFERS];
    evaluate_every(r, host, every_of(r, c), exact);
    evaluate_naive(r, host, c.p, every_of(r, c), naive);
    for (int i = 0; i < host->count; i++) {
        const size_t count = exact[i] == nullptr ? 0 : host->buffers[i].bytes / 4;
        Expected &of = is->numbers[size_t(i)];
        of.exact.assign(exact[i], exact[i] + count);
        for (size_t j = 0; j < count; j++) of.naive.push_back(rounded(device.type(i), naive[i][j]));
        free(exact[i]);
        free(naive[i]);
    }
}

Outcome outcome_of(const row *r, const Case &c, check *host, const DeviceCase &device) {
    Outcome is = {
        {}, std::vector<Expected>(size_t(host->count)), std::vector<std::vector<unsigned char>>(size_t(host->count))};
    if (r->tensor != nullptr && device.view_type() != SAMC__F32) {
        const int entries = c.p[0];
        if (r->by_entry && entries > 3 && flops_of(r, host) > 1e9) is.entries = {0, entries / 2, entries - 1};
        if (is.entries.empty()) add_outcome_low(r, c, host, device, 0, 1, &is);
        for (int entry : is.entries) {
            check alone = *host;
            alone.behind = entries - 1 - entry;
            r->narrow(&alone, c.p);
            add_outcome_low(r, c, &alone, device, entry, entries, &is);
        }
        return is;
    }
    if (r->naive != nullptr) {
        add_outcome_naive(r, c, host, device, &is);
        return is;
    }
    double *exact[MAX_BUFFERS];
    evaluate(r, host, exact);
    samc__ops ops;
    samc__ops_ref(&ops);
    samc__exec exec = reference;
    exec.ops = &ops;
    reset(host);
    if (call_op(r, &exec, host) != SAMC_OK) failed("the reference failed");
    for (int i = 0; i < host->count; i++) {
        const buffer &b = host->buffers[i];
        if (b.role == IN) continue;
        const float *values = static_cast<const float *>(b.data);
        if (!b.floats && device.type(i) == SAMC__F32) {
            const unsigned char *bytes = static_cast<const unsigned char *>(b.data);
            is.bytes[size_t(i)].assign(bytes, bytes + b.bytes);
            continue;
        }
        Expected &of = is.numbers[size_t(i)];
        for (size_t j = 0; j < b.bytes / 4; j++) of.naive.push_back(rounded(device.type(i), values[j]));
        if (exact[i] != nullptr) of.exact.assign(exact[i], exact[i] + b.bytes / 4);
        free(exact[i]);
    }
    reset(host);
    return is;
}

// Against the operator's own naive kernel, where that says something. Nothing else is written, but that of every
// how-many-th row alone it is known what.
void compare_naive(const row *r, const Case &c, const DeviceCase &device, const Expected &of, int i) {
    Expected is;
    std::vector<float> got;
    for (size_t j = 0; j < of.naive.size(); j++) {
        const float value = device.at(i, j);
        if (std::isnan(value)) failed("element %zu of buffer %d not written or NaN", j, i);
        if (!std::isnan(of.naive[j])) {
            got.push_back(value);
            is.exact.push_back(of.exact[j]);
            is.naive.push_back(of.naive[j]);
        } else if (every_of(r, c) == 1 && double(value) != of.exact[j])
            failed("element %zu of buffer %d is written", j, i);
    }
    hold(got, is, r->last_place != 0 ? std::max(r->last_place, 0.0) : last_place(device.type(i)));
}

void compare_buffer(const row *r, const Case &c, const check *host, const DeviceCase &device, const Outcome &is,
                    int i) {
    const buffer &b = host->buffers[i];
    const std::vector<unsigned char> &bytes = is.bytes[size_t(i)];
    const Expected &of = is.numbers[size_t(i)];
    for (size_t j = 0; j < bytes.size(); j++)
        if (device.memory(i).as<unsigned char>()[j] != bytes[j])
            failed("byte %zu of buffer %d is %d, not the reference's %d", j, i, device.memory(i).as<unsigned char>()[j],
                   bytes[j]);
    if (of.naive.empty()) return;
    if (r->naive != nullptr) return compare_naive(r, c, device, of, i);
    std::vector<float> got(b.bytes / 4);
    for (size_t j = 0; j < got.size(); j++) got[j] = device.at(i, j);
    if (of.exact.empty() || r->nearest) { // the reference's numbers, rounded
        for (size_t j = 0; j < got.size(); j++)
            if (got[j] != of.naive[j])
                failed("element %zu of buffer %d is %g, not %g", j, i, double(got[j]), double(of.naive[j]));
        return;
    }
    for (size_t j = 0; j < got.size(); j++)
        if (std::isnan(got[j])) failed("element %zu of buffer %d is NaN or not written", j, i);
    std::vector<float> judged;
    for (int entry : is.entries) add_part(got.data(), got.size(), entry, c.p[0], &judged);
    const bool low = r->tensor != nullptr && device.type(i) != SAMC__F32;
    hold(is.entries.empty() ? got : judged, of,
         low                 ? 0.0
         : r->last_place > 0 ? r->last_place
                             : last_place(device.type(i)));
}

// The last entry of the batch alone: what it writes must be there already.
void check_narrow(const row *r, const Case &c, check *host, DeviceCase &device) {
    if (r->narrow == nullptr || !r->narrow(host, c.p)) return;
    std::vector<std::vector<unsigned char>> before, batch;
    for (int i = 0; i < host->count; i++) {
        const unsigned char *bytes = device.memory(i).as<unsigned char>();
        batch.emplace_back(bytes, bytes + device.memory(i).bytes());
    }
    device.refill(host);
    for (int i = 0; i < host->count; i++) {
        const unsigned char *bytes = device.memory(i).as<unsigned char>();
        before.emplace_back(bytes, bytes + device.memory(i).bytes());
    }
    device.point_at(host);
    if (device.run(emu_test::device(), c.p) != SAMC_OK) failed("an entry alone: not accepted");
    bool any = false;
    for (int i = 0; i < host->count; i++)
        for (size_t j = 0; j < before[size_t(i)].size() && host->buffers[i].role != IN; j++) {
            const unsigned char now = device.memory(i).as<unsigned char>()[j];
            if (now == before[size_t(i)][j]) continue;
            any = true;
            if (now != batch[size_t(i)][j])
                failed("byte %zu of buffer %d: an entry alone differs from its batch", j, i);
        }
    if (!any) failed("an entry alone writes nothing");
    device.check_guards();
}

// The second algorithm, where all is f32: on the device's results in the host's buffers.
void check_verify(const row *r, const Case &c, check *host, const DeviceCase &device) {
    if (r->verify == nullptr) return;
    for (int i = 0; i < host->count; i++) {
        const buffer &b = host->buffers[i];
        if (device.type(i) != SAMC__F32) return;
        if (b.role != IN) memcpy(b.data, device.memory(i).data(), b.bytes);
    }
    const char *wrong = r->verify(host, c.p);
    if (wrong != nullptr) failed("%s", wrong);
}

void run_case(const row *r, const Case &c, uint64_t seed) {
    static const Case *of; // what a case must give is computed on its first schedule and kept
    static Outcome kept;
    if (r->not_on != nullptr && r->not_on(c.p, emu::capability))
        return report("%-66s not on this GPU\n", emu::config.what.c_str());
    test_case listed = {c.tier, {}};
    std::copy(c.p, c.p + MAX_PARAMS, listed.p);
    check host;
    build_case(r, &listed, seed, PATTERN_MODEL, GUARD_END, &host);
    std::vector<samc__dtype> types(MAX_VIEWS, SAMC__F32);
    if (r->types != nullptr) r->types(c.p, types.data());
    reset(&host); // outputs are NaN
    DeviceCase device(r, &host, types.data());
    round_inputs(&host, device);
    work(r->folded != nullptr ? r->folded(c.p) : flops_of(r, &host));
    if (r->takes_tensor != nullptr &&
        r->takes_tensor(device.arguments(), emu::capability) != r->tensor(c.p, emu::capability))
        failed("another kernel");
    if (device.run(emu_test::device(), c.p) != SAMC_OK) failed("not accepted");
    device.check_guards();
    if (emu::launches != nullptr) { // only noted: there are no results
        free_buffers(&host);
        return;
    }
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);
    const bool first = of != &c;
    if (first) {
        kept = outcome_of(r, c, &host, device);
        of = &c;
    }
    for (int i = 0; i < host.count; i++)
        if (host.buffers[i].role != IN) compare_buffer(r, c, &host, device, kept, i);
    if (kept.numbers.empty() || r->book == nullptr || r->nearest) report("%-66s equal\n", emu::config.what.c_str());
    if (first && (c.tier == 0 || (c.tier == 1 && r->naive != nullptr))) { // a few rows may have a kernel of their own
        if (c.tier == 0) check_verify(r, c, &host, device);
        reset(&host);
        check_narrow(r, c, &host, device);
    }
    free_buffers(&host);
}

// A check for each operator that has such cases and whose kernel is there.
std::vector<std::unique_ptr<Check>> make_checks() {
    std::vector<std::unique_ptr<Check>> made;
    for (const row *r : all_rows) {
        if (!DeviceCase::linked(r)) continue;
        std::vector<Case> cases;
        for (int i = 0; i < r->case_count; i++) {
            const test_case &t = r->cases[i];
            if (!(t.tier & (CUDA_QUICK | CUDA_FULL | HARDWARE))) continue;
            Case c = {t.tier & CUDA_QUICK ? 0 : t.tier & CUDA_FULL ? 1 : 2, {}};
            std::copy(t.p, t.p + MAX_PARAMS, c.p);
            cases.push_back(c);
        }
        made.emplace_back(new Check(r->name, r->fields, std::move(cases),
                                    [r](const Case &c, uint64_t seed) { run_case(r, c, seed); }));
    }
    return made;
}
const std::vector<std::unique_ptr<Check>> made = make_checks();

} // namespace

} // namespace emu_test

// preprocess on the GPU: a pass over rows, and one over columns straight into normalised patches.
//
// Pillow's: three kernels: the filters of both axes, rows to 8 bits, columns to patches. The filters are computed on
// the device because nothing waits here: a table from the host would have to outlive its copy, and launch arguments are
// too small. They use the reference's double arithmetic without contraction, so the weights and with them all bytes are
// equal. An axis that keeps its size needs no case of its own: its filter is one tap of 2^22, which the fixed point
// undoes exactly.
//
// 2250 x 1500 -> 1024 with 7 taps: 10 MB in, 4.6 MB between, 6.3 MB of bf16 out; the byte loads are what counts, 32 and
// 15 million, about 10 us each on an H100 (an estimate): nothing beside the encoder, so there is no staging in shared
// memory.
//
// The other filters take the same kernels with floats for weights and between the passes. Limits (of the image, which
// a cubic is clipped to, and of what MIN_MAX stretches) are found by kernels of their own before they are needed.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/resize_axis.h"
#include "kernels/preprocess/preprocess.h"

namespace samc {

constexpr int kThreads = 128, kPatchThreads = 256;
constexpr int kRows = 4; // image rows of a thread, so that a weight is read once for all of them

// The filter of one axis: output i is the sum over j < count[i] of weight[j * out + i] * input[first[i] + j].
template <class W> struct Axis {
    int in, out, taps;
    double scale, support, inverse;
    int32_t *first, *count; // [out]
    W *weight;              // [taps, out]
};
struct Mean {
    float mean[3], std[3];
};

// Pillow's arithmetic, and that of all others.
struct Fixed {
    using Weight = int32_t;
    using Sum = int;
    using Between = uint8_t; // what lies between the passes
    static constexpr int kStart = 1 << (SAMC__RESIZE_BITS - 1);
};
struct Floating {
    using Weight = float;
    using Sum = float;
    using Between = float;
    static constexpr float kStart = 0.0f;
};
SAMC_DEVICE int clip8(int sum) { return max_of(0, min_of(255, sum >> SAMC__RESIZE_BITS)); }
SAMC_DEVICE uint8_t between(int sum) { return static_cast<uint8_t>(clip8(sum)); }
SAMC_DEVICE float between(float sum) { return sum; }
SAMC_DEVICE int plus(int sum, int weight, uint8_t x) { return sum + weight * x; }
SAMC_DEVICE float plus(float sum, float weight, uint8_t x) {
    return add_exact(sum, mul_exact(weight, static_cast<float>(x)));
}
SAMC_DEVICE float plus(float sum, float weight, float x) { return add_exact(sum, mul_exact(weight, x)); }

SAMC_DEVICE double triangle(const Axis<int32_t> &a, int at, double center) {
    double distance = fabs(mul_exact(add_exact(sub_exact(static_cast<double>(at), center), 0.5), a.inverse));
    return distance < 1.0 ? sub_exact(1.0, distance) : 0.0;
}

SAMC_DEVICE void fill_filter(const Axis<int32_t> &a, int i) {
    double center = mul_exact(add_exact(static_cast<double>(i), 0.5), a.scale), sum = 0.0;
    int first = max_of(0, static_cast<int>(add_exact(sub_exact(center, a.support), 0.5)));
    int last = min_of(a.in, static_cast<int>(add_exact(add_exact(center, a.support), 0.5)));
    for (int at = first; at < last; at++) sum = add_exact(sum, triangle(a, at, center));
    for (int at = first; at < last; at++) {
        double value = triangle(a, at, center), normalised = sum != 0.0 ? div_exact(value, sum) : value;
        a.weight[static_cast<int64_t>(at - first) * a.out + i] =
            static_cast<int32_t>(add_exact(0.5, mul_exact(normalised, 1 << SAMC__RESIZE_BITS)));
    }
    a.first[i] = first;
    a.count[i] = last - first;
}

SAMC_KERNEL(kThreads, 1)
resize_filters(Axis<int32_t> horizontal, Axis<int32_t> vertical) {
    int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (i < horizontal.out) fill_filter(horizontal, i);
    else if (i < horizontal.out + vertical.out) fill_filter(vertical, i - horizontal.out);
}

// rgb [height, row_bytes] -> narrow [height, out, 3]; a block for each kThreads columns of kRows rows, columns
// innermost.
template <class F>
SAMC_KERNEL(kThreads, 8)
resize_rows(const uint8_t *rgb, int64_t row_bytes, int height, Axis<typename F::Weight> a, int column_blocks,
            typename F::Between *narrow) {
    int block = static_cast<int>(blockIdx.x), y = block / column_blocks * kRows;
    int x = block % column_blocks * kThreads + static_cast<int>(threadIdx.x);
    if (x >= a.out) return;
    typename F::Sum sum[kRows][3];
    const uint8_t *from[kRows];
    SAMC_UNROLL
    for (int r = 0; r < kRows; r++) { // rows beyond the last are the last once more, and are not stored
        from[r] = rgb + min_of(y + r, height - 1) * row_bytes + 3 * static_cast<int64_t>(a.first[x]);
        sum[r][0] = sum[r][1] = sum[r][2] = F::kStart;
    }
    for (int j = 0, count = a.count[x]; j < count; j++) {
        typename F::Weight weight = a.weight[static_cast<int64_t>(j) * a.out + x];
        SAMC_UNROLL
        for (int r = 0; r < kRows; r++) {
            sum[r][0] = plus(sum[r][0], weight, from[r][3 * j]);
            sum[r][1] = plus(sum[r][1], weight, from[r][3 * j + 1]);
            sum[r][2] = plus(sum[r][2], weight, from[r][3 * j + 2]);
        }
    }
    SAMC_UNROLL
    for (int r = 0; r < kRows; r++) {
        if (y + r >= height) return;
        typename F::Between *to = narrow + (static_cast<int64_t>(y + r) * a.out + x) * 3;
        to[0] = between(sum[r][0]);
        to[1] = between(sum[r][1]);
        to[2] = between(sum[r][2]);
    }
}

// Bits of floats that are at least 0, which order as the floats do.
struct Limits {
    int least, most; // of the image
    int low, high;   // of the resized image
};

// How a pixel is finished: what the filter's library makes of the sum, then the range. kPlain: SAM's, nothing at all.
enum Way { kPlain, kFinish, kMeasure }; // kMeasure: only to find low and high
struct Finish {
    int filter, range;
    Limits *limits; // NULL for kPlain
};
SAMC_DEVICE float value_of(const Finish &, int sum) { return static_cast<float>(clip8(sum)); }
SAMC_DEVICE float value_of(const Finish &f, float sum) {
    if (f.filter == SAMC__FILTER_TORCH_AA_U8) return sub_exact(add_exact(sum, 0x1.8p23f), 0x1.8p23f); // half to even
    if (f.filter != SAMC__FILTER_CUBIC_AA) return sum;
    float least = bits_float(static_cast<uint32_t>(f.limits->least)),
          most = bits_float(static_cast<uint32_t>(f.limits->most));
    sum = sum < least ? least : sum > most ? most : sum;
    return floorf(add_exact(sum, SAMC__CUT_GUARD));
}
SAMC_DEVICE float ranged(const Finish &f, float value) {
    if (f.range == SAMC__RANGE_255) return value;
    if (f.range == SAMC__RANGE_1) return div_exact(value, 255.0f);
    float low = bits_float(static_cast<uint32_t>(f.limits->low)),
          span = sub_exact(bits_float(static_cast<uint32_t>(f.limits->high)), low);
    return div_exact(sub_exact(value, low), span > 1e-8f ? span : 1e-8f);
}

// narrow [height, new_width, 3] -> patches [grid * grid, 3, patch, patch]; a block for each patch.
template <class T, class F, Way kWay>
SAMC_KERNEL(kPatchThreads, 4)
resize_columns(const typename F::Between *narrow, int new_width, Axis<typename F::Weight> a, int patch, int grid,
               Mean m, Finish finish, T *patches) {
    int64_t plane = static_cast<int64_t>(patch) * patch, row = 3 * static_cast<int64_t>(new_width);
    int y0 = static_cast<int>(blockIdx.x) / grid * patch, x0 = static_cast<int>(blockIdx.x) % grid * patch;
    patches += static_cast<int64_t>(blockIdx.x) * 3 * plane;
    for (int i = threadIdx.x; i < plane; i += kPatchThreads) {
        int y = y0 + i / patch, x = x0 + i % patch;
        bool inside = y < a.out && x < new_width;
        typename F::Sum sum[3] = {F::kStart, F::kStart, F::kStart};
        if (inside) {
            const typename F::Between *from = narrow + a.first[y] * row + 3 * x;
            for (int j = 0, count = a.count[y]; j < count; j++, from += row) {
                typename F::Weight weight = a.weight[static_cast<int64_t>(j) * a.out + y];
                sum[0] = plus(sum[0], weight, from[0]);
                sum[1] = plus(sum[1], weight, from[1]);
                sum[2] = plus(sum[2], weight, from[2]);
            }
        }
        SAMC_UNROLL
        for (int c = 0; c < 3; c++) {
            float value = value_of(finish, sum[c]);
            if (kWay == kMeasure) {
                if (inside) atomic_min(&finish.limits->low, static_cast<int>(float_bits(value)));
                if (inside) atomic_max(&finish.limits->high, static_cast<int>(float_bits(value)));
                continue;
            }
            if (kWay == kFinish) value = ranged(finish, value);
            store(patches + c * plane + i, inside ? div_exact(sub_exact(value, m.mean[c]), m.std[c]) : 0.0f);
        }
    }
}

// ---- Filters of floats ----------------------------------------------------------------------------------------------

// The reference's (kernels/ref/resize_axis.c), operation by operation.
SAMC_DEVICE void fill_torch_aa(const Axis<float> &a, int i) {
    float scale = div_exact(static_cast<float>(a.in), static_cast<float>(a.out)), support = scale < 1.0f ? 1.0f : scale;
    float center = static_cast<float>(mul_exact(static_cast<double>(scale), add_exact(static_cast<double>(i), 0.5)));
    float inverse = scale < 1.0f ? 1.0f : div_exact(1.0f, scale), sum = 0.0f;
    int first = max_of(0, static_cast<int>(add_exact(static_cast<double>(sub_exact(center, support)), 0.5)));
    int last = min_of(a.in, static_cast<int>(add_exact(static_cast<double>(add_exact(center, support)), 0.5)));
    float *weight = a.weight + i;
    for (int at = first; at < last; at++) {
        double offset = add_exact(static_cast<double>(sub_exact(static_cast<float>(at), center)), 0.5);
        float distance = static_cast<float>(fabs(mul_exact(offset, static_cast<double>(inverse))));
        float value = distance < 1.0f ? sub_exact(1.0f, distance) : 0.0f;
        weight[static_cast<int64_t>(at - first) * a.out] = value;
        sum = add_exact(sum, value);
    }
    for (int64_t j = 0; j < last - first && sum != 0.0f; j++) weight[j * a.out] = div_exact(weight[j * a.out], sum);
    a.first[i] = first;
    a.count[i] = last - first;
}

SAMC_DEVICE void fill_bilinear(const Axis<float> &a, int i) {
    float ratio = div_exact(static_cast<float>(a.in), static_cast<float>(a.out));
    float source = sub_exact(mul_exact(ratio, add_exact(static_cast<float>(i), 0.5f)), 0.5f);
    if (source < 0.0f) source = 0.0f;
    int low = min_of(static_cast<int>(source), a.in - 1);
    float t = sub_exact(source, static_cast<float>(low));
    a.first[i] = low;
    a.count[i] = low < a.in - 1 ? 2 : 1;
    a.weight[i] = low < a.in - 1 ? sub_exact(1.0f, t) : 1.0f;
    a.weight[a.out + i] = t;
}

struct Bell { // the cubic filter's Gaussian
    int radius;
    double q; // exp(-1 / (2 sigma^2))
};

// value[d], d <= SAMC__SPLINE_REACH + radius: Gaussian and the spline's prefilter together.
SAMC_DEVICE double cubic_value(const Bell &b, int d) {
    double bell = 1.0, step = b.q, square = mul_exact(b.q, b.q), sum = 1.0, total = 0.0;
    for (int m = 1; m <= b.radius; m++) {
        bell = mul_exact(bell, step), step = mul_exact(step, square);
        sum = add_exact(sum, mul_exact(2.0, bell));
    }
    bell = 1.0, step = b.q;
    for (int m = 0; m <= b.radius; m++) {
        for (int side = 0; side < (m ? 2 : 1); side++) {
            int distance = d + (side ? m : -m);
            if (distance < 0) distance = -distance;
            if (distance > SAMC__SPLINE_REACH) continue;
            double spline = SAMC__SPLINE_GAIN;
            for (int k = 0; k < distance; k++) spline = mul_exact(spline, SAMC__SPLINE_POLE);
            total = add_exact(total, mul_exact(bell, spline));
        }
        bell = mul_exact(bell, step), step = mul_exact(step, square);
    }
    return div_exact(total, sum);
}

SAMC_DEVICE int mirrored(int at, int in) {
    if (in == 1) return 0;
    int period = 2 * (in - 1);
    at = (at % period + period) % period;
    return at < in ? at : period - at;
}

SAMC_DEVICE double cubed_sixth(double x) { return div_exact(mul_exact(mul_exact(x, x), x), 6.0); }
SAMC_DEVICE double inner_weight(double x) { // (3 x^3 - 6 x^2 + 4) / 6
    double cube = mul_exact(mul_exact(mul_exact(3.0, x), x), x), square = mul_exact(mul_exact(6.0, x), x);
    return div_exact(add_exact(sub_exact(cube, square), 4.0), 6.0);
}

// value [reach + 1]
SAMC_DEVICE void fill_cubic(const Axis<float> &a, const double *value, int reach, int i) {
    double source = sub_exact(mul_exact(a.scale, add_exact(static_cast<double>(i), 0.5)), 0.5), whole = floor(source);
    int from = static_cast<int>(whole) - 1;
    double t = sub_exact(source, whole), s = sub_exact(1.0, t);
    const double spline[4] = {cubed_sixth(s), inner_weight(t), inner_weight(s), cubed_sixth(t)};
    int low = from - reach, high = from + 3 + reach;
    int first = max_of(0, min_of(low, 2 * (a.in - 1) - high)), last = min_of(a.in - 1, max_of(high, -low));
    float *weight = a.weight + i;
    for (int64_t j = 0; j <= last - first; j++) weight[j * a.out] = 0.0f;
    for (int at = low; at <= high; at++) {
        double sum = 0.0;
        for (int k = 0; k < 4; k++) {
            int distance = at - from - k;
            if (distance < 0) distance = -distance;
            if (distance <= reach) sum = add_exact(sum, mul_exact(spline[k], value[distance]));
        }
        float *to = weight + static_cast<int64_t>(mirrored(at, a.in) - first) * a.out;
        *to = add_exact(*to, static_cast<float>(sum));
    }
    a.first[i] = first;
    a.count[i] = last + 1 - first;
}

// Of a cubic, the spline and Gaussian of both axes; and limits that anything is within. across, down [reach + 1]
SAMC_KERNEL(kThreads, 1)
resize_begin(Bell horizontal, Bell vertical, double *across, double *down, Limits *limits) {
    int d = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (d == 0) *limits = {INT32_MAX, 0, INT32_MAX, 0};
    if (across != nullptr && d <= SAMC__SPLINE_REACH + horizontal.radius) across[d] = cubic_value(horizontal, d);
    if (down != nullptr && d <= SAMC__SPLINE_REACH + vertical.radius) down[d] = cubic_value(vertical, d);
}

SAMC_DEVICE void fill_float(const Axis<float> &a, int filter, const double *value, int reach, int i) {
    if (a.in == a.out) a.first[i] = i, a.count[i] = 1, a.weight[i] = 1.0f;
    else if (filter == SAMC__FILTER_BILINEAR) fill_bilinear(a, i);
    else if (filter == SAMC__FILTER_CUBIC_AA) fill_cubic(a, value, reach, i);
    else fill_torch_aa(a, i);
}

SAMC_KERNEL(kThreads, 1)
float_filters(Axis<float> horizontal, Axis<float> vertical, int filter, const double *across, const double *down,
              int across_reach, int down_reach) {
    int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (i < horizontal.out) fill_float(horizontal, filter, across, across_reach, i);
    else if (i < horizontal.out + vertical.out) fill_float(vertical, filter, down, down_reach, i - horizontal.out);
}

// The image's least and largest byte; a block for each row.
SAMC_KERNEL(kThreads, 8)
image_limits(const uint8_t *rgb, int64_t row_bytes, int width, Limits *limits) {
    const uint8_t *row = rgb + static_cast<int64_t>(blockIdx.x) * row_bytes;
    int least = 255, most = 0;
    for (int i = threadIdx.x; i < 3 * width; i += kThreads) {
        least = min_of(least, row[i]);
        most = max_of(most, row[i]);
    }
    atomic_min(&limits->least, static_cast<int>(float_bits(static_cast<float>(least))));
    atomic_max(&limits->most, static_cast<int>(float_bits(static_cast<float>(most))));
}

// ---- Host -----------------------------------------------------------------------------------------------------------

// SAM's: nothing to be done to a pixel but normalising it.
static bool is_plain(const samc__preprocess_args *a) {
    return a->filter == SAMC__FILTER_PILLOW_U8 && a->range == SAMC__RANGE_255;
}

static double support_of(int in, int out) { return in < out ? 1.0 : static_cast<double>(in) / out; }
static Bell bell_of(int in, int out) {
    double sigma = (static_cast<double>(in) / out - 1.0) / 2.0;
    int radius = in > out ? static_cast<int>(4.0 * sigma + 0.5) : 0;
    return {radius, radius > 0 ? exp(-0.5 / (sigma * sigma)) : 0.0};
}
static int taps_of(int filter, int in, int out) {
    if (filter == SAMC__FILTER_BILINEAR) return 2;
    if (filter == SAMC__FILTER_CUBIC_AA) {
        int taps = 2 * (SAMC__SPLINE_REACH + bell_of(in, out).radius) + 6;
        return taps < in ? taps : in;
    }
    return static_cast<int>(ceil(support_of(in, out))) * 2 + 1;
}
static size_t axis_ints(int filter, int in, int out) {
    return static_cast<size_t>(out) * static_cast<size_t>(2 + taps_of(filter, in, out));
}
static size_t cubic_doubles(int filter, int in, int out) {
    return filter == SAMC__FILTER_CUBIC_AA ? static_cast<size_t>(SAMC__SPLINE_REACH + bell_of(in, out).radius + 1) : 0;
}

template <class W> static Axis<W> axis_at(int filter, int in, int out, int32_t *at) {
    double support = support_of(in, out);
    return {in,
            out,
            taps_of(filter, in, out),
            static_cast<double>(in) / out,
            support,
            1.0 / support,
            at,
            at + out,
            reinterpret_cast<W *>(at + 2 * static_cast<int64_t>(out))};
}

// What lies in scratch: limits, doubles of the cubic, both axes, what is between the passes.
struct Room {
    Limits *limits;
    double *across, *down;
    int32_t *x_filter, *y_filter;
    void *narrow;
};
static size_t limits_bytes(const samc__preprocess_args *a) { return is_plain(a) ? 0 : sizeof(Limits); }
static Room room_at(const samc__preprocess_args *a, void *scratch) {
    char *at = static_cast<char *>(scratch);
    size_t x = cubic_doubles(a->filter, a->width, a->new_width), y = cubic_doubles(a->filter, a->height, a->new_height);
    Room r = {};
    r.limits = reinterpret_cast<Limits *>(at);
    r.across = reinterpret_cast<double *>(at + limits_bytes(a));
    r.down = r.across + x;
    r.x_filter = reinterpret_cast<int32_t *>(r.down + y);
    r.y_filter = r.x_filter + axis_ints(a->filter, a->width, a->new_width);
    r.narrow = r.y_filter + axis_ints(a->filter, a->height, a->new_height);
    return r;
}

static unsigned blocks_of(int items) { return static_cast<unsigned>((items + kThreads - 1) / kThreads); }

// The weights of both axes, and what a cubic is clipped to.
static const char *start_filters(const samc__cuda *cuda, const samc__preprocess_args *a, const Room &r,
                                 const Axis<int32_t> &horizontal, const Axis<int32_t> &vertical) {
    const char *problem = nullptr;
    if (a->range == SAMC__RANGE_MIN_MAX)
        problem = launch("resize_begin", resize_begin, Grid{1, 1, 1}, kThreads, 0, cuda->stream, Bell{0, 0.0},
                         Bell{0, 0.0}, static_cast<double *>(nullptr), static_cast<double *>(nullptr), r.limits);
    if (problem != nullptr) return problem;
    return launch("resize_filters", resize_filters, Grid{blocks_of(horizontal.out + vertical.out), 1, 1}, kThreads, 0,
                  cuda->stream, horizontal, vertical);
}
static const char *start_filters(const samc__cuda *cuda, const samc__preprocess_args *a, const Room &r,
                                 const Axis<float> &horizontal, const Axis<float> &vertical) {
    Bell x = bell_of(a->width, a->new_width), y = bell_of(a->height, a->new_height);
    bool cubic = a->filter == SAMC__FILTER_CUBIC_AA;
    int longest = SAMC__SPLINE_REACH + 1 + (x.radius > y.radius ? x.radius : y.radius);
    double *across = cubic ? r.across : nullptr, *down = cubic ? r.down : nullptr;
    const char *problem = launch("resize_begin", resize_begin, Grid{blocks_of(longest), 1, 1}, kThreads, 0,
                                 cuda->stream, x, y, across, down, r.limits);
    if (problem == nullptr)
        problem =
            launch("float_filters", float_filters, Grid{blocks_of(horizontal.out + vertical.out), 1, 1}, kThreads, 0,
                   cuda->stream, horizontal, vertical, static_cast<int>(a->filter), static_cast<const double *>(across),
                   static_cast<const double *>(down), SAMC__SPLINE_REACH + x.radius, SAMC__SPLINE_REACH + y.radius);
    if (problem == nullptr && cubic)
        problem = launch("image_limits", image_limits, Grid{static_cast<unsigned>(a->height), 1, 1}, kThreads, 0,
                         cuda->stream, a->rgb, static_cast<int64_t>(a->row_bytes), a->width, r.limits);
    return problem;
}

template <class T, class F, Way kWay>
static const char *start_columns(const samc__cuda *cuda, const samc__preprocess_args *a, const Room &r,
                                 const Axis<typename F::Weight> &vertical) {
    Mean m = {{a->mean[0], a->mean[1], a->mean[2]}, {a->std[0], a->std[1], a->std[2]}};
    Finish finish = {static_cast<int>(a->filter), static_cast<int>(a->range), r.limits};
    return launch("resize_columns", resize_columns<T, F, kWay>, Grid{static_cast<unsigned>(a->grid * a->grid), 1, 1},
                  kPatchThreads, 0, cuda->stream, static_cast<const typename F::Between *>(r.narrow), a->new_width,
                  vertical, a->patch, a->grid, m, finish, static_cast<T *>(a->patches.data));
}

template <class T, class F, bool kPlainly>
static samc_status preprocess_run(const samc__cuda *cuda, const samc__preprocess_args *a) {
    using W = typename F::Weight;
    Room r = room_at(a, cuda->scratch);
    Axis<W> horizontal = axis_at<W>(a->filter, a->width, a->new_width, r.x_filter),
            vertical = axis_at<W>(a->filter, a->height, a->new_height, r.y_filter);
    int column_blocks = (a->new_width + kThreads - 1) / kThreads, row_blocks = (a->height + kRows - 1) / kRows;
    const char *problem = start_filters(cuda, a, r, horizontal, vertical);
    if (problem == nullptr)
        problem = launch("resize_rows", resize_rows<F>,
                         Grid{static_cast<unsigned>(column_blocks) * static_cast<unsigned>(row_blocks), 1, 1}, kThreads,
                         0, cuda->stream, a->rgb, static_cast<int64_t>(a->row_bytes), a->height, horizontal,
                         column_blocks, static_cast<typename F::Between *>(r.narrow));
    if constexpr (kPlainly) {
        if (problem == nullptr) problem = start_columns<T, F, kPlain>(cuda, a, r, vertical);
    } else {
        if (problem == nullptr && a->range == SAMC__RANGE_MIN_MAX)
            problem = start_columns<float, F, kMeasure>(cuda, a, r, vertical);
        if (problem == nullptr) problem = start_columns<T, F, kFinish>(cuda, a, r, vertical);
    }
    return started(cuda, "preprocess", problem);
}

template <class T> static samc_status preprocess_as(const samc__cuda *cuda, const samc__preprocess_args *a) {
    if (is_plain(a)) return preprocess_run<T, Fixed, true>(cuda, a);
    if (a->filter == SAMC__FILTER_PILLOW_U8) return preprocess_run<T, Fixed, false>(cuda, a);
    return preprocess_run<T, Floating, false>(cuda, a);
}

} // namespace samc

extern "C" size_t samc__preprocess_cuda_scratch(const samc__preprocess_args *a) {
    using namespace samc;
    size_t filters = axis_ints(a->filter, a->width, a->new_width) + axis_ints(a->filter, a->height, a->new_height);
    size_t doubles =
        cubic_doubles(a->filter, a->width, a->new_width) + cubic_doubles(a->filter, a->height, a->new_height);
    size_t size = a->filter == SAMC__FILTER_PILLOW_U8 ? 1 : sizeof(float);
    return limits_bytes(a) + doubles * sizeof(double) + filters * sizeof(int32_t) +
           3 * static_cast<size_t>(a->height) * static_cast<size_t>(a->new_width) * size;
}

// patches f32, f16 or bf16; equal to the reference's, rounded.
extern "C" samc_status samc__preprocess_cuda(const samc__cuda *cuda, const samc__preprocess_args *a) {
    using namespace samc;
    SAMC_REQUIRE("preprocess", cuda->scratch_bytes >= samc__preprocess_cuda_scratch(a));
    SAMC_REQUIRE("preprocess", a->grid <= 1024 && a->patch <= 1024);
    if (a->patches.dtype == SAMC__F32) return preprocess_as<float>(cuda, a);
    if (a->patches.dtype == SAMC__F16) return preprocess_as<f16>(cuda, a);
    SAMC_REQUIRE("preprocess", a->patches.dtype == SAMC__BF16);
    return preprocess_as<bf16>(cuda, a);
}

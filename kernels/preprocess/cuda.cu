// preprocess on the GPU: Pillow's two fixed-point passes, the second one straight into normalised patches.
//
// Three kernels: the filters of both axes, rows to 8 bits, columns to patches. The filters are computed on the device
// because nothing waits here: a table from the host would have to outlive its copy, and launch arguments are too small.
// They use the reference's double arithmetic without contraction, so the weights and with them all bytes are equal. An
// axis that keeps its size needs no case of its own: its filter is one tap of 2^22, which the fixed point undoes
// exactly.
//
// 2250 x 1500 -> 1024 with 7 taps: 10 MB in, 4.6 MB between, 6.3 MB of bf16 out; the byte loads are what counts, 32 and
// 15 million, about 10 us each on an H100 (an estimate): nothing beside the encoder, so there is no staging in shared
// memory.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/resize_axis.h"

namespace samc {

constexpr int kThreads = 128, kPatchThreads = 256;
constexpr int kRows = 4; // image rows of a thread, so that a weight is read once for all of them

// The filter of one axis: output i is the sum over j < count[i] of weight[j * out + i] * input[first[i] + j].
struct Axis {
    int in, out, taps;
    double scale, support, inverse;
    int32_t *first, *count; // [out]
    int32_t *weight;        // [taps, out]
};
struct Mean {
    float mean[3], std[3];
};

SAMC_DEVICE double triangle(const Axis &a, int at, double center) {
    double distance = fabs(mul_exact(add_exact(sub_exact(static_cast<double>(at), center), 0.5), a.inverse));
    return distance < 1.0 ? sub_exact(1.0, distance) : 0.0;
}

SAMC_DEVICE void fill_filter(const Axis &a, int i) {
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
resize_filters(Axis horizontal, Axis vertical) {
    int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (i < horizontal.out) fill_filter(horizontal, i);
    else if (i < horizontal.out + vertical.out) fill_filter(vertical, i - horizontal.out);
}

SAMC_DEVICE int clip8(int sum) { return max_of(0, min_of(255, sum >> SAMC__RESIZE_BITS)); }

constexpr int kHalf = 1 << (SAMC__RESIZE_BITS - 1);

// rgb [height, row_bytes] -> narrow [height, out, 3]; a block for each kThreads columns of kRows rows, columns
// innermost.
SAMC_KERNEL(kThreads, 8)
resize_rows(const uint8_t *rgb, int64_t row_bytes, int height, Axis a, int column_blocks, uint8_t *narrow) {
    int block = static_cast<int>(blockIdx.x), y = block / column_blocks * kRows;
    int x = block % column_blocks * kThreads + static_cast<int>(threadIdx.x);
    if (x >= a.out) return;
    int sum[kRows][3];
    const uint8_t *from[kRows];
    SAMC_UNROLL
    for (int r = 0; r < kRows; r++) { // rows beyond the last are the last once more, and are not stored
        from[r] = rgb + min_of(y + r, height - 1) * row_bytes + 3 * static_cast<int64_t>(a.first[x]);
        sum[r][0] = sum[r][1] = sum[r][2] = kHalf;
    }
    for (int j = 0, count = a.count[x]; j < count; j++) {
        int weight = a.weight[static_cast<int64_t>(j) * a.out + x];
        SAMC_UNROLL
        for (int r = 0; r < kRows; r++) {
            sum[r][0] += weight * from[r][3 * j];
            sum[r][1] += weight * from[r][3 * j + 1];
            sum[r][2] += weight * from[r][3 * j + 2];
        }
    }
    SAMC_UNROLL
    for (int r = 0; r < kRows; r++) {
        if (y + r >= height) return;
        uint8_t *to = narrow + (static_cast<int64_t>(y + r) * a.out + x) * 3;
        to[0] = static_cast<uint8_t>(clip8(sum[r][0]));
        to[1] = static_cast<uint8_t>(clip8(sum[r][1]));
        to[2] = static_cast<uint8_t>(clip8(sum[r][2]));
    }
}

// narrow [height, new_width, 3] -> patches [grid * grid, 3, patch, patch]; a block for each patch.
template <class T>
SAMC_KERNEL(kPatchThreads, 4)
resize_columns(const uint8_t *narrow, int new_width, Axis a, int patch, int grid, Mean m, T *patches) {
    int64_t plane = static_cast<int64_t>(patch) * patch, row = 3 * static_cast<int64_t>(new_width);
    int y0 = static_cast<int>(blockIdx.x) / grid * patch, x0 = static_cast<int>(blockIdx.x) % grid * patch;
    patches += static_cast<int64_t>(blockIdx.x) * 3 * plane;
    for (int i = threadIdx.x; i < plane; i += kPatchThreads) {
        int y = y0 + i / patch, x = x0 + i % patch;
        bool inside = y < a.out && x < new_width;
        int sum[3] = {kHalf, kHalf, kHalf};
        if (inside) {
            const uint8_t *from = narrow + a.first[y] * row + 3 * x;
            for (int j = 0, count = a.count[y]; j < count; j++, from += row) {
                int weight = a.weight[static_cast<int64_t>(j) * a.out + y];
                sum[0] += weight * from[0];
                sum[1] += weight * from[1];
                sum[2] += weight * from[2];
            }
        }
        SAMC_UNROLL
        for (int c = 0; c < 3; c++)
            store(patches + c * plane + i,
                  inside ? div_exact(sub_exact(static_cast<float>(clip8(sum[c])), m.mean[c]), m.std[c]) : 0.0f);
    }
}

static double support_of(int in, int out) { return in < out ? 1.0 : static_cast<double>(in) / out; }
static int taps_of(int in, int out) { return static_cast<int>(ceil(support_of(in, out))) * 2 + 1; }
static size_t axis_ints(int in, int out) {
    return static_cast<size_t>(out) * static_cast<size_t>(2 + taps_of(in, out));
}

static Axis axis_at(int in, int out, int32_t *at) {
    double support = support_of(in, out);
    return {in,
            out,
            taps_of(in, out),
            static_cast<double>(in) / out,
            support,
            1.0 / support,
            at,
            at + out,
            at + 2 * static_cast<int64_t>(out)};
}

template <class T> static samc_status preprocess_run(const samc__cuda *cuda, const samc__preprocess_args *a) {
    int32_t *x_filter = static_cast<int32_t *>(cuda->scratch), *y_filter = x_filter + axis_ints(a->width, a->new_width);
    Axis horizontal = axis_at(a->width, a->new_width, x_filter), vertical = axis_at(a->height, a->new_height, y_filter);
    uint8_t *narrow =
        reinterpret_cast<uint8_t *>(y_filter + axis_ints(a->height, a->new_height)); // [height, new_width, 3]
    Mean m = {{a->mean[0], a->mean[1], a->mean[2]}, {a->std[0], a->std[1], a->std[2]}};
    int column_blocks = (a->new_width + kThreads - 1) / kThreads, row_blocks = (a->height + kRows - 1) / kRows;
    const char *problem =
        launch("resize_filters", resize_filters,
               Grid{static_cast<unsigned>((a->new_width + a->new_height + kThreads - 1) / kThreads), 1, 1}, kThreads, 0,
               cuda->stream, horizontal, vertical);
    if (problem == nullptr)
        problem = launch("resize_rows", resize_rows,
                         Grid{static_cast<unsigned>(column_blocks) * static_cast<unsigned>(row_blocks), 1, 1}, kThreads,
                         0, cuda->stream, a->rgb, static_cast<int64_t>(a->row_bytes), a->height, horizontal,
                         column_blocks, narrow);
    if (problem == nullptr)
        problem = launch("resize_columns", resize_columns<T>, Grid{static_cast<unsigned>(a->grid * a->grid), 1, 1},
                         kPatchThreads, 0, cuda->stream, static_cast<const uint8_t *>(narrow), a->new_width, vertical,
                         a->patch, a->grid, m, static_cast<T *>(a->patches.data));
    return started(cuda, "preprocess", problem);
}

} // namespace samc

extern "C" size_t samc__preprocess_cuda_scratch(const samc__preprocess_args *a) {
    size_t filters = samc::axis_ints(a->width, a->new_width) + samc::axis_ints(a->height, a->new_height);
    return filters * sizeof(int32_t) + 3 * static_cast<size_t>(a->height) * static_cast<size_t>(a->new_width);
}

extern "C" samc_status samc__preprocess_cuda(const samc__cuda *cuda, const samc__preprocess_args *a) {
    using namespace samc;
    SAMC_REQUIRE("preprocess", cuda->scratch_bytes >= samc__preprocess_cuda_scratch(a));
    SAMC_REQUIRE("preprocess", a->grid <= 1024 && a->patch <= 1024);
    if (a->patches.dtype == SAMC__F32) return preprocess_run<float>(cuda, a);
    if (a->patches.dtype == SAMC__F16) return preprocess_run<f16>(cuda, a);
    SAMC_REQUIRE("preprocess", a->patches.dtype == SAMC__BF16);
    return preprocess_run<bf16>(cuda, a);
}

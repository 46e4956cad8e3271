// library_twins.cc - cuBLASLt and cuDNN answered by plain loops on the host: fp32 accumulation, of 16-bit values as the
// tensor cores that these libraries would use (tests/emu/tensor_core.h), results rounded once, and every matrix checked
// to lie in device memory. They read and write when their stream gets there. samc__cublaslt_open() and
// samc__cudnn_open() of kernels/cuda/nvidia.h lead here instead of to the loader.
#include "cuda_twin.h"
#include "kernels/cuda/nvidia.h"

#include <cstdio>

namespace {

struct Product {
    bool transpose_a;
    int epilogue;
    const void *bias;
};
struct Layout {
    int type;
    size_t rows, columns, stride; // column-major
};
struct Preference {
    size_t workspace;
    uint32_t reductions;
};
// What an algorithm's eight numbers mean here: it serves one kind of layer and any number of columns.
struct Algorithm {
    uint64_t rows, k, types, epilogue, stride, number, parts, unused;
};
static_assert(sizeof(Algorithm) == sizeof(samc__lt_algorithm), "an algorithm is 64 bytes");

enum class Type { f32, f16, bf16 };
Type lt_type(int type) { return type == SAMC__LT_R_32F ? Type::f32 : type == SAMC__LT_R_16F ? Type::f16 : Type::bf16; }
Type dnn_type(int type) {
    return type == SAMC__DNN_DATA_FLOAT ? Type::f32 : type == SAMC__DNN_DATA_HALF ? Type::f16 : Type::bf16;
}
size_t size_of(Type type) { return type == Type::f32 ? 4 : 2; }

float load(Type type, const void *array, size_t i) {
    if (type == Type::f32) return static_cast<const float *>(array)[i];
    uint16_t half = static_cast<const uint16_t *>(array)[i];
    return type == Type::f16 ? emu::from_f16(half) : emu::from_bf16(half);
}
void store(Type type, void *array, size_t i, float value) {
    if (type == Type::f32) static_cast<float *>(array)[i] = value;
    else static_cast<uint16_t *>(array)[i] = type == Type::f16 ? emu::to_f16(value) : emu::to_bf16(value);
}

// y[m, n] = x[m, k] w[n, k]^T, all dense and held as fp32, which itself is multiplied by FMA. Every row is computed
// alike, whatever m is.
void multiply_part(Type type, size_t m, size_t n, size_t k, const float *x, const float *w, float *y) {
    if (type != Type::f32 && emu::config.core != TENSOR_NEAREST)
        return emu::tensor_matrix(y, x, w, m, n, k, type == Type::bf16);
    std::vector<float> turned(k * n);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++) turned[i * n + j] = w[j * k + i];
    for (size_t row = 0; row < m; row++) {
        float *sum = y + row * n;
        std::fill(sum, sum + n, 0.0f);
        for (size_t i = 0; i < k; i++) {
            const float factor = x[row * k + i], *from = &turned[i * n];
            for (size_t j = 0; j < n; j++) sum[j] += factor * from[j];
        }
    }
}

// Rows of `count` of their `k` values, from `first` on.
std::vector<float> stretch(const float *rows, size_t n, size_t k, size_t first, size_t count) {
    std::vector<float> out(n * count);
    for (size_t i = 0; i < n; i++) std::copy_n(rows + i * k + first, count, &out[i * count]);
    return out;
}

// The same, each sum as `parts` sums over stretches of k, which are then added, the way that a library does whose
// algorithm splits k: another number gives other last bits.
void multiply(Type type, size_t m, size_t n, size_t k, const float *x, const float *w, float *y, size_t parts) {
    if (parts == 1) return multiply_part(type, m, n, k, x, w, y);
    std::vector<float> sum(m * n);
    std::fill(y, y + m * n, 0.0f);
    for (size_t part = 0; part < parts; part++) {
        size_t first = k * part / parts, count = k * (part + 1) / parts - first;
        multiply_part(type, m, n, count, stretch(x, m, k, first, count).data(), stretch(w, n, k, first, count).data(),
                      sum.data());
        for (size_t i = 0; i < m * n; i++) y[i] += sum[i];
    }
}

size_t extent(const Layout &l) { return ((l.columns - 1) * l.stride + l.rows) * size_of(lt_type(l.type)); }

// The columns of a matrix, one after another.
std::vector<float> columns(const Layout &l, const void *data) {
    std::vector<float> out(l.rows * l.columns);
    for (size_t j = 0; j < l.columns; j++)
        for (size_t i = 0; i < l.rows; i++) out[j * l.rows + i] = load(lt_type(l.type), data, j * l.stride + i);
    return out;
}

void product(const Product &of, const Layout &la, const void *a, const Layout &lb, const void *b, float beta,
             const Layout &lc, const void *c, const Layout &ld, void *d, size_t parts) {
    bool bias = of.epilogue & SAMC__LT_EPILOGUE_BIAS;
    std::vector<float> w = columns(la, a), x = columns(lb, b), y(ld.rows * ld.columns);
    multiply(lt_type(la.type), ld.columns, ld.rows, lb.rows, x.data(), w.data(), y.data(), parts);
    for (size_t j = 0; j < ld.columns; j++)
        for (size_t i = 0; i < ld.rows; i++) {
            float value = y[j * ld.rows + i];
            if (beta != 0.0f) value += beta * load(lt_type(lc.type), c, j * lc.stride + i);
            if (bias) value += load(lt_type(ld.type), of.bias, i);
            store(lt_type(ld.type), d, j * ld.stride + i, value);
        }
}

template <class T> int make(void **handle, T value) {
    *handle = new T(value);
    return 0;
}
template <class T> int drop(void *handle) {
    delete static_cast<T *>(handle);
    return 0;
}
template <class T> int set(T &to, const void *value, size_t bytes) {
    if (bytes != sizeof to) return SAMC__LT_INVALID_VALUE;
    std::memcpy(&to, value, bytes);
    return SAMC__LT_SUCCESS;
}

} // namespace

namespace lt {

int Create(void **handle) { return emu::cublaslt_setting() == 1 ? 1 : make(handle, 0); }
int Destroy(void *handle) { return drop<int>(handle); }
int MatmulDescCreate(void **to, int compute, int scale) {
    if (compute != SAMC__LT_COMPUTE_32F || scale != SAMC__LT_R_32F) return SAMC__LT_NOT_SUPPORTED;
    return make(to, Product{false, SAMC__LT_EPILOGUE_DEFAULT, nullptr});
}
int MatmulDescSetAttribute(void *product, int name, const void *value, size_t bytes) {
    Product *p = static_cast<Product *>(product);
    int operation = 0;
    switch (name) {
    case SAMC__LT_MATMUL_DESC_EPILOGUE:
        return set(p->epilogue, value, bytes);
    case SAMC__LT_MATMUL_DESC_BIAS_POINTER:
        return set(p->bias, value, bytes);
    case SAMC__LT_MATMUL_DESC_TRANSA:
        if (set(operation, value, bytes) != SAMC__LT_SUCCESS) return SAMC__LT_INVALID_VALUE;
        p->transpose_a = operation == SAMC__LT_OP_T;
        return SAMC__LT_SUCCESS;
    }
    return SAMC__LT_INVALID_VALUE;
}
int MatmulDescDestroy(void *p) { return drop<Product>(p); }
int MatrixLayoutCreate(void **to, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    if (rows == 0 || columns == 0 || uint64_t(stride) < rows) return SAMC__LT_INVALID_VALUE;
    return make(to, Layout{type, rows, columns, size_t(stride)});
}
int MatrixLayoutDestroy(void *l) { return drop<Layout>(l); }
int MatmulPreferenceCreate(void **to) { return make(to, Preference{0, 7}); }
int MatmulPreferenceSetAttribute(void *p, int name, const void *value, size_t bytes) {
    if (name == SAMC__LT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(static_cast<Preference *>(p)->workspace, value, bytes);
    if (name == SAMC__LT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        return set(static_cast<Preference *>(p)->reductions, value, bytes);
    return SAMC__LT_INVALID_VALUE;
}
int MatmulPreferenceDestroy(void *p) { return drop<Preference>(p); }

// Whether the combination is one of those in cuBLAS's manual that the engine relies on, with matching shapes.
bool described(const Product *of, const Layout *a, const Layout *b, const Layout *c, const Layout *d) {
    bool types = a->type == b->type && c->type == d->type && (d->type == a->type || d->type == SAMC__LT_R_32F);
    size_t m = of->transpose_a ? a->columns : a->rows, k = of->transpose_a ? a->rows : a->columns;
    return of->transpose_a && types && b->rows == k && d->rows == m && d->columns == b->columns && c->rows == m &&
           c->columns == d->columns;
}
Algorithm algorithm(const Product *of, const Layout *a, const Layout *d, uint64_t number, uint64_t parts) {
    return {d->rows, a->rows, uint64_t(a->type) << 8 | uint64_t(d->type), uint64_t(of->epilogue), d->stride, number,
            parts,   0};
}

// Several, and other ones for few columns than for many: first one that splits k, which an engine whose bytes do not
// hang on the batch may not take, then two that do not.
int MatmulAlgoGetHeuristic(void *, void *product, void *a, void *b, void *c, void *d, void *preference, int wanted,
                           samc__lt_candidate *results, int *found) {
    const Product *of = static_cast<Product *>(product);
    const Layout *la = static_cast<Layout *>(a), *ld = static_cast<Layout *>(d);
    *found = 0;
    if (wanted < 1 || !described(of, la, static_cast<Layout *>(b), static_cast<Layout *>(c), ld))
        return SAMC__LT_NOT_SUPPORTED;
    if (emu::cublaslt_setting() == 2) return SAMC__LT_NOT_SUPPORTED;
    const uint64_t few = ld->columns < 512,
                   split = static_cast<Preference *>(preference)->reductions != SAMC__LT_REDUCTION_SCHEME_NONE;
    const Algorithm offered[] = {algorithm(of, la, ld, 10 + few, 2), algorithm(of, la, ld, 20 + few, 1),
                                 algorithm(of, la, ld, 30 + few, 1)};
    for (const Algorithm &one : offered) {
        if (*found == wanted) break;
        if (one.parts > 1 && !split && one.number != 10)
            continue; // and one that splits k in its own way, which only its configuration tells
        samc__lt_candidate *to = &results[(*found)++];
        std::memset(to, 0, sizeof *to);
        std::memcpy(&to->algorithm, &one, sizeof one);
    }
    return SAMC__LT_SUCCESS;
}

int MatmulAlgoConfigGetAttribute(const samc__lt_algorithm *algorithm, int name, void *value, size_t bytes,
                                 size_t *written) {
    Algorithm of;
    std::memcpy(&of, algorithm, sizeof of);
    int32_t parts = int32_t(of.parts);
    if (name != SAMC__LT_ALGO_CONFIG_SPLITK_NUM || bytes != sizeof parts) return SAMC__LT_INVALID_VALUE;
    std::memcpy(value, &parts, sizeof parts);
    *written = sizeof parts;
    return SAMC__LT_SUCCESS;
}

int MatmulAlgoCheck(void *, void *product, void *a, void *b, void *c, void *d, const samc__lt_algorithm *given,
                    samc__lt_candidate *checked) {
    const Product *of = static_cast<Product *>(product);
    const Layout *la = static_cast<Layout *>(a), *ld = static_cast<Layout *>(d);
    if (!described(of, la, static_cast<Layout *>(b), static_cast<Layout *>(c), ld)) return SAMC__LT_INVALID_VALUE;
    Algorithm is;
    std::memcpy(&is, given, sizeof is);
    Algorithm expected = algorithm(of, la, ld, is.number, is.parts);
    if (std::memcmp(&is, &expected, sizeof is) != 0) return SAMC__LT_INVALID_VALUE; // another layer's algorithm
    checked->workspace = 0;
    return SAMC__LT_SUCCESS;
}

int Matmul(void *handle, void *product, const void *alpha, const void *a, void *a_layout, const void *b, void *b_layout,
           const void *beta, const void *c, void *c_layout, void *d, void *d_layout, const samc__lt_algorithm *by,
           void *workspace, size_t workspace_bytes, CUstream_st *stream) {
    const char *call = "cublasLtMatmul";
    const Product of = *static_cast<Product *>(product);
    const Layout la = *static_cast<Layout *>(a_layout), lb = *static_cast<Layout *>(b_layout),
                 lc = *static_cast<Layout *>(c_layout), ld = *static_cast<Layout *>(d_layout);
    float one = *static_cast<const float *>(alpha), more = *static_cast<const float *>(beta);
    samc__lt_candidate checked;
    int status = MatmulAlgoCheck(handle, product, a_layout, b_layout, c_layout, d_layout, by, &checked);
    if (status != SAMC__LT_SUCCESS || one != 1.0f) return SAMC__LT_INVALID_VALUE;
    Algorithm is;
    std::memcpy(&is, by, sizeof is);
    if (emu::cublaslt_setting() == 3 && is.number < 30)
        return SAMC__LT_NOT_SUPPORTED; // only at the call: a check can be wrong
    emu::check_device(a, extent(la), call);
    emu::check_device(b, extent(lb), call);
    emu::check_device(c, extent(lc), call);
    emu::check_device(d, extent(ld), call);
    if (workspace_bytes) emu::check_device(workspace, workspace_bytes, call);
    if (of.epilogue & SAMC__LT_EPILOGUE_BIAS) emu::check_device(of.bias, ld.rows * size_of(lt_type(ld.type)), call);
    if (reinterpret_cast<uintptr_t>(workspace) % 16) return SAMC__LT_INVALID_VALUE;
    emu::launch_work(stream, is.parts > 1 ? "cublasLtMatmul, k split" : call, [=] {
        if (workspace_bytes)
            std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096); // what lies there is gone
        ::product(of, la, a, lb, b, more, lc, c, ld, d, is.number % 2 + is.parts);
    });
    return SAMC__LT_SUCCESS;
}

} // namespace lt

// ---- cuDNN --------------------------------------------------------------------------------------

namespace {

struct Handle {
    cudaStream_t stream;
};
struct Tensor { // or filter: n filters of c channels
    int format, type;
    size_t n, c, h, w;
};
struct Convolution {
    bool same; // padding 1, strides and dilations 1, cross-correlation, fp32 accumulation
    int math;
};

bool supported(const Tensor &x, const Tensor &w, const Convolution &of, const Tensor &y) {
    bool nhwc =
        x.format == SAMC__DNN_TENSOR_NHWC && w.format == SAMC__DNN_TENSOR_NHWC && y.format == SAMC__DNN_TENSOR_NHWC;
    bool shapes = x.c == w.c && y.c == w.n && x.n == y.n && x.h == y.h && x.w == y.w && w.h == 3 && w.w == 3;
    bool math = of.math ==
                (x.type == SAMC__DNN_DATA_FLOAT ? SAMC__DNN_FMA_MATH : SAMC__DNN_TENSOR_OP_MATH); // fp32 never as TF32
    return nhwc && shapes && math && of.same && x.type == w.type && x.type == y.type;
}

// x [n, h, w, c], weights [k, 3, 3, c], y [n, h, w, k].
void convolve(const Tensor &lx, const void *x, const void *w, const Tensor &ly, void *y) {
    Type type = dnn_type(lx.type);
    size_t pixels = lx.h * lx.w, c = lx.c, k = ly.c;
    std::vector<float> weights(k * 9 * c), patches(pixels * 9 * c), out(pixels * k);
    for (size_t i = 0; i < weights.size(); i++) weights[i] = load(type, w, i);
    for (size_t n = 0; n < lx.n; n++) {
        for (size_t p = 0; p < pixels; p++)
            for (int tap = 0; tap < 9; tap++) {
                long py = long(p / lx.w) + tap / 3 - 1, px = long(p % lx.w) + tap % 3 - 1;
                bool inside = py >= 0 && py < long(lx.h) && px >= 0 && px < long(lx.w);
                for (size_t i = 0; i < c; i++)
                    patches[(p * 9 + size_t(tap)) * c + i] =
                        inside ? load(type, x, ((n * lx.h + size_t(py)) * lx.w + size_t(px)) * c + i) : 0.0f;
            }
        multiply(type, pixels, k, 9 * c, patches.data(), weights.data(), out.data(), 1);
        for (size_t i = 0; i < out.size(); i++) store(type, y, n * pixels * k + i, out[i]);
    }
}

constexpr size_t kWorkspace = 1 << 20; // what the faster algorithm asks for here

} // namespace

namespace dnn {

int Create(void **handle) {
    return emu::cudnn_setting() == 1 ? SAMC__DNN_NOT_INITIALIZED : make(handle, Handle{nullptr});
}
int Destroy(void *handle) { return drop<Handle>(handle); }
int SetStream(void *handle, CUstream_st *stream) {
    static_cast<Handle *>(handle)->stream = stream;
    return SAMC__DNN_SUCCESS;
}
int CreateTensorDescriptor(void **t) { return make(t, Tensor{}); }
int DestroyTensorDescriptor(void *t) { return drop<Tensor>(t); }
int SetTensor4dDescriptor(void *t, int format, int type, int n, int c, int h, int w) {
    if (n < 1 || c < 1 || h < 1 || w < 1) return SAMC__DNN_BAD_PARAM;
    *static_cast<Tensor *>(t) = {format, type, size_t(n), size_t(c), size_t(h), size_t(w)};
    return SAMC__DNN_SUCCESS;
}
int CreateFilterDescriptor(void **f) { return CreateTensorDescriptor(f); }
int DestroyFilterDescriptor(void *f) { return DestroyTensorDescriptor(f); }
int SetFilter4dDescriptor(void *f, int type, int format, int k, int c, int h, int w) {
    return SetTensor4dDescriptor(f, format, type, k, c, h, w);
}
int CreateConvolutionDescriptor(void **c) { return make(c, Convolution{}); }
int DestroyConvolutionDescriptor(void *c) { return drop<Convolution>(c); }
int SetConvolution2dDescriptor(void *c, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w, int mode,
                               int compute) {
    static_cast<Convolution *>(c)->same = pad_h == 1 && pad_w == 1 && u == 1 && v == 1 && dilation_h == 1 &&
                                          dilation_w == 1 && mode == SAMC__DNN_CROSS_CORRELATION &&
                                          compute == SAMC__DNN_DATA_FLOAT;
    return SAMC__DNN_SUCCESS;
}
int SetConvolutionMathType(void *c, int math) {
    static_cast<Convolution *>(c)->math = math;
    return SAMC__DNN_SUCCESS;
}

int GetConvolutionForwardWorkspaceSize(void *, void *x, void *w, void *of, void *y, int algorithm, size_t *bytes) {
    const Tensor *lx = static_cast<Tensor *>(x);
    bool faster = algorithm == SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    if (!supported(*lx, *static_cast<Tensor *>(w), *static_cast<Convolution *>(of), *static_cast<Tensor *>(y)))
        return SAMC__DNN_NOT_SUPPORTED;
    if (faster && lx->type == SAMC__DNN_DATA_FLOAT)
        return SAMC__DNN_NOT_SUPPORTED; // a device may lack the faster one: here it does in fp32
    *bytes = faster ? kWorkspace : 0;
    return SAMC__DNN_SUCCESS;
}

int ConvolutionForward(void *handle, const void *alpha, void *x_layout, const void *x, void *w_layout, const void *w,
                       void *of, int algorithm, void *workspace, size_t workspace_bytes, const void *beta,
                       void *y_layout, void *y) {
    const char *call = "cudnnConvolutionForward";
    const Tensor lx = *static_cast<Tensor *>(x_layout), ly = *static_cast<Tensor *>(y_layout),
                 lw = *static_cast<Tensor *>(w_layout);
    bool plain = *static_cast<const float *>(alpha) == 1.0f && *static_cast<const float *>(beta) == 0.0f;
    if (!supported(lx, lw, *static_cast<Convolution *>(of), ly) || !plain || emu::cudnn_setting() == 2)
        return SAMC__DNN_NOT_SUPPORTED;
    if (algorithm == SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM && workspace_bytes < kWorkspace)
        return SAMC__DNN_BAD_PARAM;
    size_t size = size_of(dnn_type(lx.type));
    emu::check_device(x, lx.n * lx.h * lx.w * lx.c * size, call);
    emu::check_device(w, lw.n * 9 * lw.c * size, call);
    emu::check_device(y, ly.n * ly.h * ly.w * ly.c * size, call);
    if (workspace_bytes) emu::check_device(workspace, workspace_bytes, call);
    emu::launch_work(static_cast<Handle *>(handle)->stream, call, [=] {
        if (workspace_bytes)
            std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096); // what lies there is gone
        convolve(lx, x, w, ly, y);
    });
    return SAMC__DNN_SUCCESS;
}

} // namespace dnn

// ---- Instead of the loader ----------------------------------------------------------------------

extern "C" void *samc__cublaslt_open(samc__cublaslt *functions, const char *, char *text) {
#define FUNCTION(name, parameters) functions->name = lt::name;
    SAMC__CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION
    const bool there = emu::cublaslt_setting() != 4;
    std::snprintf(text, SAMC__NVIDIA_TEXT,
                  there ? "the emulation's cuBLASLt" : "libcublasLt is not installed on the emulated machine");
    return there ? functions : nullptr;
}
extern "C" void *samc__cudnn_open(samc__cudnn *functions, const char *, char *text) {
#define FUNCTION(name, parameters) functions->name = dnn::name;
    SAMC__CUDNN_FUNCTIONS(FUNCTION)
#undef FUNCTION
    const bool there = emu::cudnn_setting() != 3;
    std::snprintf(text, SAMC__NVIDIA_TEXT,
                  there ? "the emulation's cuDNN" : "libcudnn is not installed on the emulated machine");
    return there ? functions : nullptr;
}
extern "C" void samc__nvidia_close(void *) {}

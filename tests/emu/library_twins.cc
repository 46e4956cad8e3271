// library_twins.cc - cuBLASLt and cuDNN answered by plain loops on the host: fp32 accumulation, of 16-bit values as the tensor cores that these
// libraries would use (tests/emu/tensor_core.h), results rounded once, and every matrix checked to lie in device memory. They read and write when their stream gets there.
#include "cublasLt.h"
#include "cuda_twin.h"
#include "cudnn.h"

#include "dnnl.h"

struct samc_emu_cublas { int unused; };
struct samc_emu_product {
    bool transpose_a;
    cublasLtEpilogue_t epilogue;
    const void *bias;
};
struct samc_emu_layout {
    cudaDataType_t type;
    size_t rows, columns, stride, batch, step; // column-major; matrices of a batch are `step` elements apart
};
struct samc_emu_preference { size_t workspace; };

namespace {

enum class Type { f32, f16, bf16 };
Type type_of(cudaDataType_t type) { return type == CUDA_R_32F ? Type::f32 : type == CUDA_R_16F ? Type::f16 : Type::bf16; }
Type type_of(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? Type::f32 : type == CUDNN_DATA_HALF ? Type::f16 : Type::bf16; }
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

// y[m, n] = x[m, k] w[n, k]^T, all dense and held as fp32; fp32 itself is multiplied by FMA.
void multiply(Type type, size_t m, size_t n, size_t k, const float *x, const float *w, float *y) {
    if (type != Type::f32 && emu::config.core != TENSOR_NEAREST) return emu::tensor_matrix(y, x, w, m, n, k, type == Type::bf16);
    dnnl_sgemm('N', 'T', dnnl_dim_t(m), dnnl_dim_t(n), dnnl_dim_t(k), 1.0f, x, dnnl_dim_t(k), w, dnnl_dim_t(k), 0.0f, y, dnnl_dim_t(n));
}

size_t extent(const samc_emu_layout &l) { return ((l.batch - 1) * l.step + (l.columns - 1) * l.stride + l.rows) * size_of(type_of(l.type)); }

// The columns of matrix `index` of a batch, one after another.
std::vector<float> columns(const samc_emu_layout &l, const void *data, size_t index) {
    std::vector<float> out(l.rows * l.columns);
    for (size_t j = 0; j < l.columns; j++)
        for (size_t i = 0; i < l.rows; i++) out[j * l.rows + i] = load(type_of(l.type), data, index * l.step + j * l.stride + i);
    return out;
}

void product(const samc_emu_product &of, const samc_emu_layout &la, const void *a, const samc_emu_layout &lb, const void *b, float beta,
             const samc_emu_layout &lc, const void *c, const samc_emu_layout &ld, void *d) {
    bool bias = of.epilogue & CUBLASLT_EPILOGUE_BIAS, relu = of.epilogue & CUBLASLT_EPILOGUE_RELU;
    for (size_t index = 0; index < ld.batch; index++) {
        std::vector<float> w = columns(la, a, index), x = columns(lb, b, index), y(ld.rows * ld.columns);
        multiply(type_of(la.type), ld.columns, ld.rows, lb.rows, x.data(), w.data(), y.data());
        for (size_t j = 0; j < ld.columns; j++)
            for (size_t i = 0; i < ld.rows; i++) {
                float value = y[j * ld.rows + i];
                if (beta != 0.0f) value += beta * load(type_of(lc.type), c, index * lc.step + j * lc.stride + i);
                if (bias) value += load(type_of(ld.type), of.bias, i);
                if (relu && !(value > 0.0f)) value = 0.0f;
                store(type_of(ld.type), d, index * ld.step + j * ld.stride + i, value);
            }
    }
}

template <class T, class Handle> cublasStatus_t make(Handle *handle, T value) {
    *handle = new T(value);
    return CUBLAS_STATUS_SUCCESS;
}
template <class Handle> cublasStatus_t drop(Handle handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
template <class T> cublasStatus_t set(T &to, const void *value, size_t bytes) {
    if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) { return make(handle, samc_emu_cublas{0}); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return drop(handle); }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *to, cublasComputeType_t compute, cudaDataType_t scale) {
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    return make(to, samc_emu_product{false, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t p, cublasLtMatmulDescAttributes_t name, const void *value, size_t bytes) {
    cublasOperation_t operation;
    switch (name) {
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(p->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(p->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        if (set(operation, value, bytes) != CUBLAS_STATUS_SUCCESS) return CUBLAS_STATUS_INVALID_VALUE;
        p->transpose_a = operation == CUBLAS_OP_T;
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t p) { return drop(p); }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *to, cudaDataType_t type, uint64_t rows, uint64_t columns, int64_t stride) {
    if (rows == 0 || columns == 0 || uint64_t(stride) < rows) return CUBLAS_STATUS_INVALID_VALUE;
    return make(to, samc_emu_layout{type, rows, columns, size_t(stride), 1, 0});
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t name, const void *value, size_t bytes) {
    if (name == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return set(l->step, value, bytes);
    int32_t count;
    if (set(count, value, bytes) != CUBLAS_STATUS_SUCCESS || count < 1) return CUBLAS_STATUS_INVALID_VALUE;
    l->batch = size_t(count);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return drop(l); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *to) { return make(to, samc_emu_preference{0}); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t, const void *value, size_t bytes) {
    return set(p->workspace, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return drop(p); }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t of, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *found) {
    *found = 0;
    // The combinations of types in cuBLAS's manual that the engine relies on, and matching shapes.
    bool types = a->type == b->type && c->type == d->type && (d->type == a->type || d->type == CUDA_R_32F);
    size_t m = of->transpose_a ? a->columns : a->rows, k = of->transpose_a ? a->rows : a->columns;
    bool shapes = b->rows == k && d->rows == m && d->columns == b->columns && c->rows == m && c->columns == d->columns;
    bool batches = a->batch == d->batch && b->batch == d->batch && c->batch == d->batch;
    if (!of->transpose_a || !types || !shapes || !batches || wanted < 1) return CUBLAS_STATUS_NOT_SUPPORTED;
    results[0].algo = {{m, d->columns, k, d->batch, uint64_t(a->type), uint64_t(d->type), uint64_t(of->epilogue), d->stride}};
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t of, const void *alpha, const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c, cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes, cudaStream_t stream) {
    const char *call = "cublasLtMatmul";
    float one = *static_cast<const float *>(alpha), more = *static_cast<const float *>(beta);
    const uint64_t expected[8] = {ld->rows, ld->columns, lb->rows, ld->batch, uint64_t(la->type), uint64_t(ld->type), uint64_t(of->epilogue), ld->stride};
    if (one != 1.0f || std::memcmp(algorithm->data, expected, sizeof expected) != 0) return CUBLAS_STATUS_INVALID_VALUE; // another problem's algorithm
    emu::check_device(a, extent(*la), call);
    emu::check_device(b, extent(*lb), call);
    emu::check_device(c, extent(*lc), call);
    emu::check_device(d, extent(*ld), call);
    if (workspace_bytes) emu::check_device(workspace, workspace_bytes, call);
    if (of->epilogue & CUBLASLT_EPILOGUE_BIAS) emu::check_device(of->bias, ld->rows * size_of(type_of(ld->type)), call);
    if (reinterpret_cast<uintptr_t>(workspace) % 16) return CUBLAS_STATUS_INVALID_VALUE;
    samc_emu_product product_of = *of;
    samc_emu_layout a_layout = *la, b_layout = *lb, c_layout = *lc, d_layout = *ld;
    emu::enqueue(stream, call, [=] {
        if (workspace_bytes) std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096); // what lies there is gone
        product(product_of, a_layout, a, b_layout, b, more, c_layout, c, d_layout, d);
    });
    return CUBLAS_STATUS_SUCCESS;
}

// ---- cuDNN ---------------------------------------------------------------------------------------------------------------

struct cudnnContext { cudaStream_t stream; };
struct cudnnTensorStruct {
    cudnnTensorFormat_t format;
    cudnnDataType_t type;
    size_t n, c, h, w;
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
    bool same; // padding 1, strides and dilations 1, cross-correlation, fp32 accumulation
    cudnnMathType_t math;
};

namespace {

template <class T, class Handle> cudnnStatus_t make_dnn(Handle *handle) {
    *handle = new T();
    return CUDNN_STATUS_SUCCESS;
}
template <class Handle> cudnnStatus_t drop_dnn(Handle handle) {
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

bool supported(const cudnnTensorStruct &x, const cudnnFilterStruct &w, const cudnnConvolutionStruct &of, const cudnnTensorStruct &y) {
    bool nhwc = x.format == CUDNN_TENSOR_NHWC && w.format == CUDNN_TENSOR_NHWC && y.format == CUDNN_TENSOR_NHWC;
    bool shapes = x.c == w.c && y.c == w.n && x.n == y.n && x.h == y.h && x.w == y.w && w.h == 3 && w.w == 3;
    bool math = of.math == (x.type == CUDNN_DATA_FLOAT ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH); // fp32 never as TF32
    return nhwc && shapes && math && of.same && x.type == w.type && x.type == y.type;
}

// x [n, h, w, c], weights [k, 3, 3, c], y [n, h, w, k].
void convolve(const cudnnTensorStruct &lx, const void *x, const void *w, const cudnnTensorStruct &ly, void *y) {
    Type type = type_of(lx.type);
    size_t pixels = lx.h * lx.w, c = lx.c, k = ly.c;
    std::vector<float> weights(k * 9 * c), patches(pixels * 9 * c), out(pixels * k);
    for (size_t i = 0; i < weights.size(); i++) weights[i] = load(type, w, i);
    for (size_t n = 0; n < lx.n; n++) {
        for (size_t p = 0; p < pixels; p++)
            for (int tap = 0; tap < 9; tap++) {
                long py = long(p / lx.w) + tap / 3 - 1, px = long(p % lx.w) + tap % 3 - 1;
                bool inside = py >= 0 && py < long(lx.h) && px >= 0 && px < long(lx.w);
                for (size_t i = 0; i < c; i++)
                    patches[(p * 9 + size_t(tap)) * c + i] = inside ? load(type, x, ((n * lx.h + size_t(py)) * lx.w + size_t(px)) * c + i) : 0.0f;
            }
        multiply(type, pixels, k, 9 * c, patches.data(), weights.data(), out.data());
        for (size_t i = 0; i < out.size(); i++) store(type, y, n * pixels * k + i, out[i]);
    }
}

constexpr size_t kWorkspace = 1 << 20; // what the faster algorithm asks for here

} // namespace

const char *cudnnGetErrorString(cudnnStatus_t status) {
    return status == CUDNN_STATUS_SUCCESS ? "CUDNN_STATUS_SUCCESS" : status == CUDNN_STATUS_BAD_PARAM ? "CUDNN_STATUS_BAD_PARAM" : "CUDNN_STATUS_NOT_SUPPORTED";
}
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    if (emu::cudnn_setting() == 1) return CUDNN_STATUS_NOT_INITIALIZED;
    return make_dnn<cudnnContext>(handle);
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return drop_dnn(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t) { return make_dnn<cudnnTensorStruct>(t); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return drop_dnn(t); }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c, int h, int w) {
    if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    *t = {format, type, size_t(n), size_t(c), size_t(h), size_t(w)};
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *f) { return make_dnn<cudnnFilterStruct>(f); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f) { return drop_dnn(f); }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t f, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c, int h, int w) {
    return cudnnSetTensor4dDescriptor(reinterpret_cast<cudnnTensorDescriptor_t>(static_cast<cudnnTensorStruct *>(f)), format, type, k, c, h, w);
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *c) { return make_dnn<cudnnConvolutionStruct>(c); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) { return drop_dnn(c); }
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t compute) {
    c->same = pad_h == 1 && pad_w == 1 && u == 1 && v == 1 && dilation_h == 1 && dilation_w == 1 && mode == CUDNN_CROSS_CORRELATION && compute == CUDNN_DATA_FLOAT;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math) {
    c->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t of,
                                                      cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t algorithm, size_t *bytes) {
    if (!supported(*x, *w, *of, *y)) return CUDNN_STATUS_NOT_SUPPORTED;
    // A device may lack the faster one: here it does in fp32.
    if (algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM && x->type == CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    *bytes = algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM ? kWorkspace : 0;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x_descriptor, const void *x,
                                      cudnnFilterDescriptor_t w_descriptor, const void *w, cudnnConvolutionDescriptor_t of, cudnnConvolutionFwdAlgo_t algorithm,
                                      void *workspace, size_t workspace_bytes, const void *beta, cudnnTensorDescriptor_t y_descriptor, void *y) {
    const char *call = "cudnnConvolutionForward";
    cudnnTensorStruct lx = *x_descriptor, ly = *y_descriptor;
    cudnnFilterStruct lw = *w_descriptor;
    bool plain = *static_cast<const float *>(alpha) == 1.0f && *static_cast<const float *>(beta) == 0.0f;
    if (!supported(lx, lw, *of, ly) || !plain || emu::cudnn_setting() == 2) return CUDNN_STATUS_NOT_SUPPORTED;
    if (algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM && workspace_bytes < kWorkspace) return CUDNN_STATUS_BAD_PARAM;
    size_t size = size_of(type_of(lx.type));
    emu::check_device(x, lx.n * lx.h * lx.w * lx.c * size, call);
    emu::check_device(w, lw.n * 9 * lw.c * size, call);
    emu::check_device(y, ly.n * ly.h * ly.w * ly.c * size, call);
    if (workspace_bytes) emu::check_device(workspace, workspace_bytes, call);
    emu::enqueue(handle->stream, call, [=] {
        if (workspace_bytes) std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096); // what lies there is gone
        convolve(lx, x, w, ly, y);
    });
    return CUDNN_STATUS_SUCCESS;
}

// declarations_test.cc - what kernels/cuda/nvidia.h says of cuBLASLt and cuDNN, held against NVIDIA's own headers: each
// number, the layout of each struct, and of each function the number of parameters with the size and kind of every one.
// All of it at compile time; built where the headers are.
#include "kernels/cuda/nvidia.h"

#include <cstddef>
#include <cstdio>
#include <type_traits>

// Whether a value of one type is passed as one of the other is: pointers as pointers, integers and enumerations by
// their size.
template <class A, class B> constexpr bool alike() {
    constexpr bool numbers = (std::is_integral_v<A> || std::is_enum_v<A>)&&(std::is_integral_v<B> || std::is_enum_v<B>);
    return sizeof(A) == sizeof(B) && ((std::is_pointer_v<A> && std::is_pointer_v<B>) || numbers);
}
template <class A, class B> struct same_call : std::false_type {};
template <class R, class S, class... A, class... B> struct same_call<R (*)(A...), S (*)(B...)> {
    static constexpr bool value = [] {
        if constexpr (sizeof...(A) != sizeof...(B)) return false;
        else return alike<R, S>() && (alike<A, B>() && ...);
    }();
};

#define SAME(ours, theirs) static_assert(static_cast<long long>(ours) == static_cast<long long>(theirs), #theirs)

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#define CALL(name, parameters)                                                                                         \
    static_assert(same_call<decltype(samc__cublaslt::name), decltype(&cublasLt##name)>::value, "cublasLt" #name);
SAMC__CUBLASLT_FUNCTIONS(CALL)
#undef CALL
SAME(SAMC__LT_SUCCESS, CUBLAS_STATUS_SUCCESS);
SAME(SAMC__LT_INVALID_VALUE, CUBLAS_STATUS_INVALID_VALUE);
SAME(SAMC__LT_NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(SAMC__LT_R_32F, CUDA_R_32F);
SAME(SAMC__LT_R_16F, CUDA_R_16F);
SAME(SAMC__LT_R_16BF, CUDA_R_16BF);
SAME(SAMC__LT_OP_T, CUBLAS_OP_T);
SAME(SAMC__LT_COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(SAMC__LT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_DEFAULT);
SAME(SAMC__LT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS);
SAME(SAMC__LT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(SAMC__LT_MATMUL_DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(SAMC__LT_MATMUL_DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(SAMC__LT_MATMUL_PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(SAMC__LT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(SAMC__LT_REDUCTION_SCHEME_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(SAMC__LT_ALGO_CONFIG_SPLITK_NUM, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(sizeof(samc__lt_algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(samc__lt_candidate), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(samc__lt_candidate, algorithm), offsetof(cublasLtMatmulHeuristicResult_t, algo));
SAME(offsetof(samc__lt_candidate, workspace), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(samc__lt_candidate, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
#define CUBLASLT_HELD 1
#else
#define CUBLASLT_HELD 0
#endif

#if __has_include(<cudnn.h>)
#include <cudnn.h>
#define CALL(name, parameters)                                                                                         \
    static_assert(same_call<decltype(samc__cudnn::name), decltype(&cudnn##name)>::value, "cudnn" #name);
SAMC__CUDNN_FUNCTIONS(CALL)
#undef CALL
SAME(SAMC__DNN_SUCCESS, CUDNN_STATUS_SUCCESS);
SAME(SAMC__DNN_NOT_INITIALIZED, CUDNN_STATUS_NOT_INITIALIZED);
SAME(SAMC__DNN_BAD_PARAM, CUDNN_STATUS_BAD_PARAM);
SAME(SAMC__DNN_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED);
SAME(SAMC__DNN_DATA_FLOAT, CUDNN_DATA_FLOAT);
SAME(SAMC__DNN_DATA_HALF, CUDNN_DATA_HALF);
SAME(SAMC__DNN_DATA_BFLOAT16, CUDNN_DATA_BFLOAT16);
SAME(SAMC__DNN_TENSOR_NHWC, CUDNN_TENSOR_NHWC);
SAME(SAMC__DNN_CROSS_CORRELATION, CUDNN_CROSS_CORRELATION);
SAME(SAMC__DNN_TENSOR_OP_MATH, CUDNN_TENSOR_OP_MATH);
SAME(SAMC__DNN_FMA_MATH, CUDNN_FMA_MATH);
SAME(SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM);
SAME(SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM);
#define CUDNN_HELD 1
#else
#define CUDNN_HELD 0
#endif

// And what is installed has every function by its name.
int main() {
    samc__cublaslt lt;
    samc__cudnn dnn;
    char text[SAMC__NVIDIA_TEXT];
    int missing = 0;
    void *library = samc__cublaslt_open(&lt, nullptr, text);
    std::printf("cuBLASLt: declarations %s; %s\n",
                CUBLASLT_HELD ? "held against its header" : "not held, there is no header", text);
    missing += library == nullptr && __builtin_strstr(text, "lacks") != nullptr;
    samc__nvidia_close(library);
    library = samc__cudnn_open(&dnn, nullptr, text);
    std::printf("cuDNN: declarations %s; %s\n", CUDNN_HELD ? "held against its header" : "not held, there is no header",
                text);
    missing += library == nullptr && __builtin_strstr(text, "lacks") != nullptr;
    samc__nvidia_close(library);
    return missing;
}

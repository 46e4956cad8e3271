// cuBLASLt and cuDNN as the engine calls them (kernels/cuda/libraries.c) against the reference operators, with times: a
// verb of samc-gpu.
//
//     libraries [--small] [--json FILE]
//
// What a library is asked is checked here with the library itself: the twins of tests/emu know only what samc believes
// of it. A result's error may be at most twice that of products rounded once to the type of y, and what sums of that
// many products may lose, the library's and the reference's (tests/emu/tensor_core.h).
#include "emu_test.h"
#include "verbs.h"
#include "kernels/linear/cuda.h"

extern "C" {
#include "kernels/conv3x3/choice.h"
#include "kernels/cuda/libraries.h"
#include "kernels/linear/choice.h"
}

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime_api.h>

using emu_test::Random;

static samc_error last_error;

[[noreturn]] static void stop(const char *what, const char *why) {
    std::fprintf(stderr, "samc-gpu libraries: %s: %s\n", what, why);
    std::exit(1);
}
static void require(cudaError_t error, const char *what) {
    if (error != cudaSuccess) stop(what, cudaGetErrorString(error));
}

// A tensor on the host in fp32, rounded to its dtype, and on the device in it.
struct Tensor {
    samc__dtype dtype;
    std::vector<float> host;
    void *device = nullptr;
    Tensor(samc__dtype type, size_t n, Random *random, float deviation) : dtype(type), host(n, NAN) {
        if (random)
            for (float &v : host) v = emu_test::rounded(type, deviation * random->normal());
        require(cudaMalloc(&device, n * samc__dtype_size(type)), "device memory");
        std::vector<uint16_t> half(n);
        for (size_t i = 0; i < n; i++)
            half[i] = type == SAMC__F16 ? samc__float_to_f16(host[i]) : samc__float_to_bf16(host[i]);
        const void *from = type == SAMC__F32 ? static_cast<const void *>(host.data()) : half.data();
        require(cudaMemcpy(device, from, n * samc__dtype_size(type), cudaMemcpyHostToDevice), "copy to the device");
        require(cudaDeviceSynchronize(), "copy to the device"); // a pageable copy may return before its bytes arrive
    }
    ~Tensor() { cudaFree(device); }
    Tensor(const Tensor &) = delete;
    std::vector<float> download(cudaStream_t stream) const {
        std::vector<float> out(host.size());
        std::vector<uint16_t> half(host.size());
        void *to = dtype == SAMC__F32 ? static_cast<void *>(out.data()) : half.data();
        require(cudaMemcpyAsync(to, device, host.size() * samc__dtype_size(dtype), cudaMemcpyDeviceToHost, stream),
                "copy from the device");
        require(cudaStreamSynchronize(stream), "copy from the device");
        for (size_t i = 0; i < out.size() && dtype != SAMC__F32; i++)
            out[i] = dtype == SAMC__F16 ? samc__f16_to_float(half[i]) : samc__bf16_to_float(half[i]);
        return out;
    }
    samc__view view(samc__view shape) const {
        shape.data = device;
        shape.dtype = dtype;
        return shape;
    }
    samc__view on_host(samc__view shape) {
        shape.data = host.data();
        return shape;
    }
};

// Compares and times one call; appends its line. `call` does it once on the stream.
struct Run {
    samc__cuda cuda;
    std::string json;
    bool small;
    int failures;
    // `in`: the type of what is multiplied; k: the products of a sum.
    template <class Call>
    void operator()(const char *op, const std::string &name, samc__dtype in, double k, Tensor &y, double flops,
                    const Call &call) {
        std::vector<float> exact = y.host; // the reference's result
        if (call() != SAMC_OK) return finish(op, name, "", last_error.message);
        require(cudaStreamSynchronize(cuda.stream), name.c_str());
        std::vector<float> got = y.download(cuda.stream);
        double error = 0, rounding = 0, size = 0;
        for (size_t i = 0; i < got.size(); i++) {
            error += std::pow(double(got[i]) - exact[i], 2);
            rounding += std::pow(double(emu_test::rounded(y.dtype, exact[i])) - exact[i], 2);
            size += std::pow(double(exact[i]), 2);
        }
        error = std::sqrt(error / size);
        rounding = std::sqrt(rounding / size);
        int repeats = small ? 1 : 20;
        auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < repeats; i++) call();
        require(cudaStreamSynchronize(cuda.stream), name.c_str());
        double us =
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / repeats;
        char numbers[200];
        std::snprintf(numbers, sizeof numbers,
                      ",\"warm_us\":%.6g,\"cold_us\":%.6g,\"bytes\":0,\"flops\":%.6g,\"error\":%.3g,\"rounding\":%.3g",
                      us, us, flops, error, rounding);
        // 16-bit values meet on tensor cores, f32 by FMA (no TF32 is asked for). An activation takes from the error of
        // a sum what it takes from its size, bias and residual only add to the latter.
        const double sums = fp32_loss(k) + (in == SAMC__F32 ? fp32_loss(k) : tensor_core_loss(k));
        finish(op, name, numbers,
               error <= 2 * rounding + sums ? ""
                                            : "error above twice that of rounding the result, and that of its sums");
    }
    void finish(const char *op, const std::string &name, const char *numbers, const char *why) {
        std::printf("%s %s %s%s %s\n", *why ? "FAIL" : "ok  ", op, name.c_str(), numbers, why);
        failures += *why != 0;
        FILE *file = json.empty() ? nullptr : std::fopen(json.c_str(), "a");
        if (file == nullptr) return;
        std::fprintf(file, "{\"op\":\"%s\",\"case\":\"%s %s\",\"status\":\"%s\"%s%s%s}\n", op, op, name.c_str(),
                     *why ? "failed" : "ok", *why ? ",\"why\":\"" : "", why, *why ? "\"" : numbers);
        std::fclose(file);
    }
};

struct Layer {
    int m, k, n;
    samc__dtype in, out;
    bool bias;
    int residual; // its rows; 0: none
    samc__act act;
};

static void linear(Run &run, const Layer &l) {
    Random random = {11};
    Tensor x(l.in, size_t(l.m) * size_t(l.k), &random, 1.0f),
        w(l.in, size_t(l.n) * size_t(l.k), &random, 1.0f / std::sqrt(float(l.k)));
    const bool gelu = l.act == SAMC__ACT_GELU; // a second pass, which adds the bias in f32
    Tensor b(gelu ? SAMC__F32 : l.out, size_t(l.n), &random, 0.5f),
        residual(l.out, size_t(l.residual ? l.residual : 1) * size_t(l.n), &random, 1.0f);
    Tensor y(l.out, size_t(l.m) * size_t(l.n), nullptr, 0);
    samc__linear_args host = {}, args = {};
    host.x = x.on_host(samc__view2(nullptr, l.m, l.k));
    host.p.w = w.on_host(samc__view2(nullptr, l.n, l.k));
    host.y = y.on_host(samc__view2(nullptr, l.m, l.n));
    args.x = x.view(host.x);
    args.p.w = w.view(host.p.w);
    args.y = y.view(host.y);
    host.act = args.act = l.act;
    if (l.bias) {
        host.p.b = b.on_host(samc__view1(nullptr, l.n));
        args.p.b = b.view(host.p.b);
    }
    if (l.residual) {
        host.residual = residual.on_host(samc__view2(nullptr, l.residual, l.n));
        args.residual = residual.view(host.residual);
    }
    std::string name =
        gelu ? "(cuBLASLt + GELU, m k n in out bias residual act) =" : "(cuBLASLt, m k n in out bias residual act) =";
    for (int v : {l.m, l.k, l.n, int(l.in), int(l.out), int(l.bias), l.residual, int(l.act)})
        name += " " + std::to_string(v);
    samc__linear_args product = gelu ? samc__linear_without_gelu(&args) : args;
    if (samc__linear_cuda_choice(&product, 0) != SAMC__LINEAR_CUBLASLT)
        return run.finish("linear", name, "", "is not cuBLASLt's");
    if (samc__linear_ref(&emu_test::reference, &host) != SAMC_OK) stop("linear", "the reference failed");
    run("linear", name, l.in, l.k, y, samc__linear_flops(&host), [&] {
        if (!samc__linear_cublas(&run.cuda, &product))
            return samc__fail(run.cuda.error, SAMC_INTERNAL, "cuBLASLt refused");
        return gelu ? samc__bias_gelu_cuda(&run.cuda, args.y, 0, args.p.b) : SAMC_OK;
    });
}

static void conv3x3(Run &run, int images, int grid, int channels, samc__dtype type) {
    Random random = {12};
    size_t tokens = size_t(images) * size_t(grid) * size_t(grid), c = size_t(channels);
    Tensor x(type, tokens * c, &random, 1.0f), w(type, c * c * 9, &random, 1.0f / std::sqrt(9.0f * float(channels))),
        y(type, tokens * c, nullptr, 0);
    samc__conv3x3_args host = {}, args = {};
    host.x = x.on_host(samc__view4(nullptr, images, grid, grid, channels));
    host.y = y.on_host(samc__view4(nullptr, images, grid, grid, channels));
    host.stride = args.stride = 1;
    // cuDNN's weight is [c_out, 3, 3, c_in]; the reference's [c_out, c_in, 3, 3].
    std::vector<float> turned(w.host.size());
    for (size_t o = 0; o < c; o++)
        for (size_t tap = 0; tap < 9; tap++)
            for (size_t i = 0; i < c; i++) turned[(o * c + i) * 9 + tap] = w.host[(o * 9 + tap) * c + i];
    host.w = samc__view4(turned.data(), channels, channels, 3, 3);
    args.x = x.view(host.x);
    args.y = y.view(host.y);
    args.w = w.view(host.w);
    if (samc__conv3x3_ref(&emu_test::reference, &host) != SAMC_OK) stop("conv3x3", "the reference failed");
    std::string name = "(cuDNN, images grid channels type) =";
    for (int v : {images, grid, channels, int(type)}) name += " " + std::to_string(v);
    if (samc__conv3x3_cuda_choice(&args) != SAMC__CONV3X3_CUDNN)
        return run.finish("conv3x3", name, "", "is not cuDNN's");
    run("conv3x3", name, type, 9.0 * channels, y, samc__conv3x3_flops(&host), [&] {
        if (samc__conv3x3_cudnn(&run.cuda, &args, run.cuda.scratch)) return SAMC_OK;
        return samc__fail(run.cuda.error, SAMC_INTERNAL, "%s", samc__libraries_cudnn_text(run.cuda.libraries));
    });
}

int libraries_main(int argc, char **argv) {
    Run run = {};
    for (int i = 1; i < argc; i++) {
        if (!std::strcmp(argv[i], "--small")) run.small = true;
        else if (!std::strcmp(argv[i], "--json") && i + 1 < argc) run.json = argv[++i];
        else stop("unknown option", argv[i]);
    }
    require(cudaStreamCreateWithFlags(&run.cuda.stream, cudaStreamNonBlocking), "stream");
    run.cuda.error = &last_error;
    run.cuda.scratch_bytes = SAMC__LIBRARY_SCRATCH;
    require(cudaMalloc(&run.cuda.scratch, run.cuda.scratch_bytes), "device memory");
    const samc__libraries_wanted wanted = {std::getenv("SAMC_CUDA_LIBRARIES"), true, true};
    if (samc__libraries_open(&run.cuda.libraries, &wanted, &last_error) != SAMC_OK)
        stop("libraries", last_error.message);
    const bool cublaslt = samc__libraries_have_cublaslt(run.cuda.libraries),
               cudnn = samc__libraries_have_cudnn(run.cuda.libraries);
    std::printf("cuBLASLt: %s\ncuDNN: %s\n", samc__libraries_cublaslt_text(run.cuda.libraries),
                samc__libraries_cudnn_text(run.cuda.libraries));
    if (!cublaslt && !cudnn) return 77; // neither is installed: nothing to check, and samc computes all itself
    const samc__dtype f32 = SAMC__F32, f16 = SAMC__F16, bf16 = SAMC__BF16;
    const samc__act none = SAMC__ACT_NONE, gelu = SAMC__ACT_GELU;
    for (samc__dtype type : {f32, f16, bf16}) {
        if (cudnn) conv3x3(run, 2, 8, 32, type);
        if (!cublaslt) continue;
        linear(run, {128, 64, 64, type, type, true, 0, none});
        linear(run, {256, 64, 128, type, f32, true, 256, none});
        linear(run, {384, 128, 64, type, f32, true, 128, none}); // the position table of a batch of three
        linear(run, {192, 128, 96, type, type, true, 0, none});
        linear(run, {128, 64, 64, type, type, false, 0, none});
        if (type != f32) linear(run, {192, 64, 96, type, type, true, 0, gelu});
    }
    if (cublaslt && !run.small) { // of ViT-B
        linear(run, {4096, 768, 2304, bf16, bf16, true, 0, none});
        linear(run, {4096, 768, 768, bf16, f32, true, 4096, none});
        linear(run, {4096, 3072, 768, bf16, f32, true, 4096, none});
        linear(run, {4096, 768, 256, bf16, bf16, false, 0, none});
        for (int width : {768, 1024, 1280})
            linear(run, {4096, width, 4 * width, bf16, bf16, true, 0, gelu}); // and of its larger kin
    }
    if (cudnn && !run.small)
        for (samc__dtype type : {bf16, f16, f32}) conv3x3(run, 1, 64, 256, type);
    samc__libraries_close(run.cuda.libraries);
    require(cudaFree(run.cuda.scratch), "device memory");
    require(cudaStreamDestroy(run.cuda.stream), "stream");
    std::printf("%d failed\n", run.failures);
    return run.failures != 0;
}

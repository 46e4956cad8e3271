// The operator checks' way to the CUDA kernels: arguments as checkops builds them, in the emulated device's memory and
// in any type.
#include "emu.h"

extern "C" {
#include "tests/checkops/nonfinite.h"
}
#include "kernels/cuda/cuda_ops.h"

#include <memory>

extern "C" {
#define SAMC_OP(name)                                                                                                  \
    size_t samc__##name##_cuda_scratch(const samc__##name##_args *args) __attribute__((weak));                         \
    samc_status samc__##name##_cuda(const samc__cuda *cuda, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP
}

namespace {

using Views = std::vector<samc__view *>;

void matrices(samc__attention &a, Views &views) { views.insert(views.end(), {&a.q.w, &a.k.w, &a.v.w, &a.out.w}); }

// What kernels/cuda/cuda_ops.h lets be of another type than f32. Linear layers on an odd number of rows keep f32 for
// all but the weight.
Views typed(const char *name, check *c) {
    Views views;
    auto is = [&](const char *op) { return strcmp(name, op) == 0; };
    auto &a = c->args;
    if (is("linear")) views = {&a.linear.p.w};
    if (is("linear") && a.linear.x.n[0] % 2 == 0)
        views.insert(views.end(), {&a.linear.x, &a.linear.residual, &a.linear.y});
    if (is("layernorm")) views = {&a.layernorm.x, &a.layernorm.y};
    if (is("attention_relpos"))
        views = {&a.attention_relpos.qkv, &a.attention_relpos.qkv_bias, &a.attention_relpos.rel_h,
                 &a.attention_relpos.rel_w, &a.attention_relpos.y};
    if (is("conv3x3")) views = {&a.conv3x3.x, &a.conv3x3.w, &a.conv3x3.y};
    if (is("add_rows")) views = {&a.add_rows.x, &a.add_rows.y};
    if (is("embed_grid")) views = {&a.embed_grid.y};
    if (is("embed_mask"))
        views = {&a.embed_mask.conv1.w, &a.embed_mask.conv2.w, &a.embed_mask.conv3.w, &a.embed_mask.image,
                 &a.embed_mask.y};
    if (is("token_attention")) matrices(a.token_attention.attention, views);
    if (is("token_to_image"))
        matrices(a.token_to_image.attention, views),
            views.insert(views.end(), {&a.token_to_image.keys, &a.token_to_image.key_pe});
    if (is("image_to_token"))
        matrices(a.image_to_token.attention, views),
            views.insert(views.end(), {&a.image_to_token.keys, &a.image_to_token.key_pe, &a.image_to_token.y});
    if (is("upscale_masks")) views = {&a.upscale_masks.src, &a.upscale_masks.up1.w, &a.upscale_masks.up2.w};
    return views;
}

// What is of the hosts' tables alone.
bool for_hosts(const char *name, const check *c) {
    if (strcmp(name, "upscale_masks") == 0) return c->args.upscale_masks.depth > 0;
    if (strcmp(name, "token_to_image") == 0)
        return c->args.token_to_image.image_k.data != nullptr || c->args.token_to_image.queries.n[2] % 4 != 0;
    if (strcmp(name, "image_to_token") == 0)
        return c->args.image_to_token.image_q.data != nullptr || c->args.image_to_token.queries.n[2] % 4 != 0;
    return false;
}

} // namespace

extern "C" samc_status run_cuda(const char *name, check *c, samc__dtype type, samc_error *error) {
    if (for_hosts(name, c)) return SAMC_UNSUPPORTED;
    check d = *c;
    Views views = typed(name, &d);
    if (views.empty() && type != SAMC__F32) return SAMC_UNSUPPORTED;
    std::vector<std::unique_ptr<emu::Buffer>> device;
    std::vector<samc__dtype> types(size_t(c->count), SAMC__F32);
    for (int i = 0; i < c->count; i++) {
        const buffer &b = c->buffers[i];
        for (const samc__view *v : views)
            if (v->data == b.data) types[size_t(i)] = type;
        size_t size = types[size_t(i)] == SAMC__F32 ? 1 : 2;
        device.emplace_back(new emu::Buffer(b.bytes / size));
        if (b.floats)
            for (size_t j = 0; j < b.bytes / 4; j++)
                samc__store_element(types[size_t(i)], device.back()->data(), int64_t(j),
                                    static_cast<const float *>(b.data)[j]);
        else memcpy(device.back()->data(), b.data, b.bytes);
    }
    for (samc__view *v : views) v->dtype = v->data ? type : SAMC__F32;
    // Every address in the arguments that is a buffer's becomes the device's.
    for (size_t at = 0; at + sizeof(void *) <= sizeof d.args; at += sizeof(void *)) {
        void *address;
        memcpy(&address, reinterpret_cast<char *>(&d.args) + at, sizeof address);
        for (int i = 0; i < c->count; i++) {
            if (address != c->buffers[i].data) continue;
            void *there = device[size_t(i)]->data();
            memcpy(reinterpret_cast<char *>(&d.args) + at, &there, sizeof there);
        }
    }
    samc_status status = SAMC_UNSUPPORTED;
    samc__cuda cuda = {};
    cuda.error = error;
    cuda.capability = 80;
#define SAMC_OP(op)                                                                                                    \
    if (strcmp(name, #op) == 0) {                                                                                      \
        emu::Buffer scratch(samc__##op##_cuda_scratch ? samc__##op##_cuda_scratch(&d.args.op) : 0);                    \
        cuda.scratch = scratch.data(), cuda.scratch_bytes = scratch.bytes();                                           \
        status = samc__##op##_cuda(&cuda, &d.args.op);                                                                 \
        scratch.check();                                                                                               \
    }
#include "kernels/list.h"
#undef SAMC_OP
    for (int i = 0; i < c->count; i++) {
        const buffer &b = c->buffers[i];
        device[size_t(i)]->check();
        if (b.role == IN) continue;
        if (!b.floats) memcpy(b.data, device[size_t(i)]->data(), b.bytes);
        for (size_t j = 0; b.floats && j < b.bytes / 4; j++)
            static_cast<float *>(b.data)[j] =
                samc__load_element(types[size_t(i)], device[size_t(i)]->data(), int64_t(j));
    }
    return status;
}

// The check of image_to_token: prompts, T, C, inner, heads, N, entries of keys, biases (0, 1), type (0 f32, 1 f16, 2
// bf16), whether tensor cores serve it. Where every prompt has keys of its own, y takes their place.
#include "emu_attention.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/token_to_image/cuda.h"

namespace emu_test {

static void image_to_token(const Case &c, uint64_t seed) {
    int prompts = c.p[0], t = c.p[1], channels = c.p[2], n = c.p[5], entries = c.p[6];
    samc__dtype type = samc__dtype(c.p[8]);
    size_t size = size_t(prompts * t * channels), image_size = size_t(n * channels);
    Random random = {seed};
    Tensor queries(SAMC__F32, size, random, 0, 1), pe(SAMC__F32, size, random, 0, 1),
        keys(type, size_t(entries) * image_size, random, 0, 1);
    Tensor key_pe(type, image_size, random, 0, 0.7f), own(type, size_t(prompts) * image_size);
    Layer layer(type, channels, c.p[3], c.p[4], c.p[7] != 0, random);
    samc__image_to_token_args args = {};
    args.queries = queries.view(samc__view3(nullptr, prompts, t, channels));
    args.pe = pe.view(samc__view3(nullptr, prompts, t, channels));
    args.keys = keys.view(samc__view3(nullptr, entries, n, channels));
    args.key_pe = key_pe.view(samc__view2(nullptr, n, channels));
    args.attention = layer.attention(false);
    args.norm = layer.norm(false);
    const Tensor &y = prompts == entries ? keys : own;
    args.y = y.view(samc__view3(nullptr, prompts, n, channels));
    const bool tensor =
        c.p[9] != 0 && t <= 16 && !(channels == 256 && t > 8 && samc__shared_limit(emu::capability) < 128 << 10);
    if ((samc__image_to_token_cuda_kernel(&args, emu::capability) == SAMC__CROSS_TENSOR) != tensor)
        failed("another kernel");
    work(4.0 * prompts * double(t) * c.p[4] * n * channels); // as folded
    run_with_scratch(samc__image_to_token_cuda, samc__image_to_token_cuda_scratch, args);
    const std::vector<size_t> which = compared(prompts, size_t(prompts) * image_size);
    judge(y, prompts, which, expected(c, [&] {
              Numbers tokens = sum_of(numbers(queries), numbers(pe)),
                      image = repeated(numbers(keys), size_t(entries), size_t(prompts / entries));
              Numbers values = only(numbers(queries), prompts, which);
              tokens = only(tokens, prompts, which);
              image = only(image, prompts, which);
              Numbers positions = sum_of(image, numbers(key_pe));
              Numbers exact = layer.run(positions, tokens, values, image, int(which.size()), {false, type, false});
              std::vector<float> naive(y.count);
              if (type == SAMC__F32) { // the reference operator: its sums are fp32 too
                  Reference table;
                  samc__image_to_token_args host = args;
                  host.queries = on_host(args.queries, queries);
                  host.pe = on_host(args.pe, pe);
                  host.keys = on_host(args.keys, keys);
                  host.key_pe = on_host(args.key_pe, key_pe);
                  host.attention = layer.attention(true);
                  host.norm = layer.norm(true);
                  host.y = samc__view3(naive.data(), prompts, n, channels);
                  if (samc__image_to_token_ref(&table.exec, &host) != SAMC_OK) failed("reference");
                  naive = only(naive, prompts, which);
              } else {
                  Numbers low = layer.run(positions, tokens, values, image, int(which.size()), {true, type, tensor});
                  naive.assign(low.begin(), low.end());
                  for (float &v : naive) v = rounded(type, v);
              }
              return Expected{exact, naive};
          }));

    // A prompt alone gives the same bits as in the batch.
    if (prompts > 1) {
        size_t last = size / size_t(prompts) * size_t(prompts - 1), first = size_t(entries - 1) * image_size;
        Tensor one(SAMC__F32, size - last), one_pe(SAMC__F32, size - last), image(type, image_size),
            alone(type, image_size);
        for (size_t i = 0; i < one.count; i++) {
            one.set(i, queries.host[last + i]);
            one_pe.set(i, pe.host[last + i]);
        }
        for (size_t i = 0; i < image_size; i++) image.set(i, keys.host[first + i]);
        args.queries = one.view(samc__view3(nullptr, 1, t, channels));
        args.pe = one_pe.view(samc__view3(nullptr, 1, t, channels));
        args.keys = image.view(samc__view3(nullptr, 1, n, channels));
        args.y = alone.view(samc__view3(nullptr, 1, n, channels));
        run_with_scratch(samc__image_to_token_cuda, samc__image_to_token_cuda_scratch, args);
        for (size_t i = 0; i < image_size; i++)
            if (alone.at(i) != y.at(size_t(prompts - 1) * image_size + i))
                failed("element %zu of the last prompt alone differs from the batch", i);
    }
    layer.check();
    for (const Tensor *tensor : {&queries, &pe, &keys, &key_pe, &own}) tensor->device->check();
}

static const Check check("image_to_token", "prompts T C inner heads N entries biases type tensor",
                         with_every_count(
                             {
                                 // Other shapes: odd heads, channels that are no whole vector, one key, blocks with
                                 // idle warps, more tokens than tensor cores take.
                                 {0, {1, 1, 8, 4, 1, 1, 1, 0, 0, 0}},
                                 {0, {3, 5, 20, 10, 2, 50, 3, 1, 0, 0}},
                                 {0, {4, 7, 40, 24, 3, 65, 2, 1, 0, 0}},
                                 {0, {2, 3, 36, 12, 3, 35, 1, 1, 2, 0}},
                                 {0, {1, 7, 256, 128, 8, 33, 1, 1, 0, 0}},
                                 {0, {2, 17, 128, 64, 8, 9, 2, 1, 1, 0}},
                                 // Tensor cores: one key, ragged tiles, tokens even and odd, below, at and beyond 8,
                                 // rows beyond a block of 16.
                                 {0, {1, 1, 128, 64, 8, 1, 1, 1, 1, 1}},
                                 {0, {2, 7, 256, 128, 8, 31, 1, 1, 2, 1}},
                                 {0, {3, 5, 128, 64, 8, 100, 3, 0, 2, 1}},
                                 {0, {4, 8, 128, 64, 8, 65, 2, 1, 1, 1}},
                                 {0, {2, 9, 256, 128, 8, 48, 2, 1, 1, 1}},
                                 {0, {1, 16, 128, 64, 8, 130, 1, 1, 2, 1}},
                                 {1, {2, 12, 128, 64, 8, 1024, 2, 1, 2, 1}},
                                 {1, {2, 10, 128, 64, 8, 200, 1, 1, 1, 1}},
                                 {1, {1, 13, 256, 128, 8, 150, 1, 1, 2, 1}},
                                 {1, {66, 7, 128, 64, 8, 192, 1, 1, 1, 1}},
                                 {1, {2, 7, 256, 128, 8, 4096, 1, 1, 2, 1}},
                                 {1, {1, 5, 256, 128, 8, 4096, 1, 1, 1, 1}},
                                 {2, {64, 7, 256, 128, 8, 4096, 1, 1, 2, 1}},
                                 {2, {256, 7, 256, 128, 8, 4096, 256, 1, 2, 1}},
                                 {2, {256, 7, 128, 64, 8, 1024, 256, 1, 1, 1}},
                             },
                             {{1, {1, 0, 256, 128, 8, 40, 1, 1, 0, 0}},
                              {1, {1, 0, 128, 64, 8, 17, 1, 1, 1, 1}},
                              {1, {1, 0, 256, 128, 8, 17, 1, 1, 2, 1}},
                              {1, {1, 0, 128, 64, 8, 40, 1, 1, 0, 0}},
                              {1, {1, 0, 256, 128, 8, 17, 1, 1, 1, 1}},
                              {1, {1, 0, 128, 64, 8, 17, 1, 1, 2, 1}}}),
                         image_to_token);

} // namespace emu_test

// The check of token_to_image: prompts, T, C, inner, heads, N, entries of keys, biases (0, 1), type (0 f32, 1 f16, 2
// bf16), whether tensor cores serve it.
#include "emu_attention.h"
#include "kernels/token_to_image/cuda.h"
#include "kernels/token_to_image/token_to_image.h"

namespace emu_test {

static void token_to_image(const Case &c, uint64_t seed) {
    int prompts = c.p[0], t = c.p[1], channels = c.p[2], n = c.p[5], entries = c.p[6];
    samc__dtype type = samc__dtype(c.p[8]);
    size_t size = size_t(prompts * t * channels), keys_size = size_t(entries * n * channels);
    Random random = {seed};
    Tensor queries(SAMC__F32, size, random, 0, 1), pe(SAMC__F32, size, random, 0, 1),
        keys(type, keys_size, random, 0, 1);
    Tensor key_pe(type, size_t(n * channels), random, 0, 0.7f);
    Layer layer(type, channels, c.p[3], c.p[4], c.p[7] != 0, random);
    samc__token_to_image_args args = {};
    args.queries = queries.view(samc__view3(nullptr, prompts, t, channels));
    args.pe = pe.view(samc__view3(nullptr, prompts, t, channels));
    args.keys = keys.view(samc__view3(nullptr, entries, n, channels));
    args.key_pe = key_pe.view(samc__view2(nullptr, n, channels));
    args.attention = layer.attention(false);
    args.norm = layer.norm(false);
    if ((samc__token_to_image_cuda_kernel(&args) == SAMC__CROSS_TENSOR) != (c.p[9] != 0)) failed("another kernel");
    work(4.0 * prompts * double(t) * c.p[4] * n * channels); // as folded
    run_with_scratch(samc__token_to_image_cuda, samc__token_to_image_cuda_scratch, args);
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);
    const std::vector<size_t> which = compared(prompts, size_t(prompts) * size_t(n * channels));
    judge(queries, prompts, which, expected(c, [&] {
              Numbers tokens = sum_of(numbers(queries), numbers(pe)),
                      image = repeated(numbers(keys), size_t(entries), size_t(prompts / entries));
              Numbers residual = only(numbers(queries), prompts, which);
              tokens = only(tokens, prompts, which);
              image = only(image, prompts, which);
              Numbers positions = sum_of(image, numbers(key_pe));
              Numbers exact = layer.run(tokens, positions, image, residual, int(which.size()), {false, type, false});
              std::vector<float> naive = queries.host;
              if (type == SAMC__F32) { // the reference operator: its sums are fp32 too
                  Reference table;
                  samc__token_to_image_args host = args;
                  host.queries.data = naive.data();
                  host.pe = on_host(args.pe, pe);
                  host.keys = on_host(args.keys, keys);
                  host.key_pe = on_host(args.key_pe, key_pe);
                  host.attention = layer.attention(true);
                  host.norm = layer.norm(true);
                  if (samc__token_to_image_ref(&table.exec, &host) != SAMC_OK) failed("reference");
                  naive = only(naive, prompts, which);
              } else {
                  Numbers low =
                      layer.run(tokens, positions, image, residual, int(which.size()), {true, type, c.p[9] != 0});
                  naive.assign(low.begin(), low.end());
              }
              return Expected{exact, naive};
          }));

    // A prompt alone gives the same bits as in the batch.
    if (prompts > 1) {
        size_t last = size / size_t(prompts) * size_t(prompts - 1);
        Tensor one(SAMC__F32, size - last), one_pe(SAMC__F32, size - last);
        for (size_t i = 0; i < one.count; i++) {
            one.set(i, queries.host[last + i]);
            one_pe.set(i, pe.host[last + i]);
        }
        args.queries = one.view(samc__view3(nullptr, 1, t, channels));
        args.pe = one_pe.view(samc__view3(nullptr, 1, t, channels));
        args.keys.n[0] = 1;
        args.keys.data =
            static_cast<char *>(args.keys.data) + (keys_size - keys_size / size_t(entries)) * samc__dtype_size(type);
        run_with_scratch(samc__token_to_image_cuda, samc__token_to_image_cuda_scratch, args);
        for (size_t i = 0; i < one.count; i++)
            if (one.at(i) != queries.at(last + i))
                failed("element %zu of the last prompt alone is %.9g, in the batch %.9g", i, one.at(i),
                       queries.at(last + i));
    }
    layer.check();
    for (const Tensor *tensor : {&queries, &pe, &keys, &key_pe}) tensor->device->check();
}

static const Check check("token_to_image", "prompts T C inner heads N entries biases type tensor",
                         with_every_count(
                             {
                                 // Other shapes: odd heads, channels that are no whole vector, one key, a segment that
                                 // leaves warps without keys.
                                 {0, {1, 1, 8, 4, 1, 1, 1, 0, 0, 0}},
                                 {0, {3, 5, 20, 10, 2, 50, 3, 1, 0, 0}},
                                 {0, {4, 7, 40, 24, 3, 65, 2, 1, 0, 0}},
                                 {0, {2, 3, 36, 12, 3, 35, 1, 1, 2, 0}},
                                 {0, {3, 4, 40, 16, 2, 36, 1, 1, 1, 0}},
                                 {0, {1, 7, 256, 128, 8, 33, 1, 1, 0, 0}},
                                 // Tensor cores: one key, ragged tiles, a second segment, tokens below, at and beyond a
                                 // group of 8, rows beyond a block of 16.
                                 {0, {1, 1, 128, 64, 8, 1, 1, 1, 1, 1}},
                                 {0, {2, 7, 256, 128, 8, 31, 1, 1, 2, 1}},
                                 {0, {3, 5, 128, 64, 8, 100, 3, 0, 2, 1}},
                                 {0, {4, 8, 128, 64, 8, 33, 2, 1, 1, 1}},
                                 {0, {2, 9, 256, 128, 8, 64, 2, 1, 1, 1}},
                                 {0, {2, 7, 128, 64, 8, 1056, 1, 1, 2, 1}},
                                 {1, {2, 19, 128, 64, 8, 1024, 2, 1, 2, 1}},
                                 {1, {9, 7, 128, 64, 8, 1024, 1, 1, 1, 1}},
                                 {1, {2, 7, 256, 128, 8, 4096, 1, 1, 2, 1}},
                                 {1, {2, 5, 256, 128, 8, 4096, 2, 1, 1, 1}},
                                 {2, {64, 7, 256, 128, 8, 4096, 1, 1, 2, 1}},
                                 {2, {256, 7, 256, 128, 8, 4096, 256, 1, 2, 1}},
                                 {2, {256, 7, 128, 64, 8, 1024, 256, 1, 1, 1}},
                             },
                             {{1, {1, 0, 256, 128, 8, 17, 1, 1, 0, 0}},
                              {1, {1, 0, 128, 64, 8, 17, 1, 1, 1, 1}},
                              {1, {1, 0, 256, 128, 8, 17, 1, 1, 2, 1}},
                              {1, {1, 0, 128, 64, 8, 17, 1, 1, 0, 0}},
                              {1, {1, 0, 256, 128, 8, 17, 1, 1, 1, 1}},
                              {1, {1, 0, 128, 64, 8, 17, 1, 1, 2, 1}}}),
                         token_to_image);

} // namespace emu_test

// The check of token_attention: prompts, T, C, inner, heads, positions and residual (0, 1), biases (0, 1), type (0 f32,
// 1 f16, 2 bf16).
#include "emu_attention.h"
#include "kernels/token_attention/token_attention.h"

namespace emu_test {

static void token_attention(const Case &c, uint64_t seed) {
    int prompts = c.p[0], t = c.p[1], channels = c.p[2];
    samc__dtype type = samc__dtype(c.p[7]);
    size_t size = size_t(prompts * t * channels);
    Random random = {seed};
    Tensor queries(SAMC__F32, size, random, 0, 1), pe(SAMC__F32, size, random, 0, 1);
    Layer layer(type, channels, c.p[3], c.p[4], c.p[6] != 0, random);
    samc__token_attention_args args = {};
    args.queries = queries.view(samc__view3(nullptr, prompts, t, channels));
    if (c.p[5]) args.pe = pe.view(samc__view3(nullptr, prompts, t, channels));
    args.attention = layer.attention(false);
    args.norm = layer.norm(false);
    work(samc__token_attention_flops(&args));
    run_with_scratch(samc__token_attention_cuda, samc__token_attention_cuda_scratch, args);
    const std::vector<size_t> which = compared(prompts, size);
    judge(queries, prompts, which, expected(c, [&] {
              Numbers values = only(numbers(queries), prompts, which), positions = only(numbers(pe), prompts, which);
              Numbers tokens = c.p[5] ? sum_of(values, positions) : values, residual = c.p[5] ? values : Numbers();
              Numbers exact = layer.run(tokens, tokens, values, residual, int(which.size()), {false, type, false});
              std::vector<float> naive = queries.host;
              if (type == SAMC__F32) { // the reference operator: its sums are fp32 too
                  Reference table;
                  samc__token_attention_args host = args;
                  host.queries.data = naive.data();
                  if (c.p[5]) host.pe = on_host(args.pe, pe);
                  host.attention = layer.attention(true);
                  host.norm = layer.norm(true);
                  if (samc__token_attention_ref(&table.exec, &host) != SAMC_OK) failed("reference");
                  naive = only(naive, prompts, which);
              } else {
                  Numbers low = layer.run(tokens, tokens, values, residual, int(which.size()), {true, type, false});
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
        if (c.p[5]) args.pe = one_pe.view(samc__view3(nullptr, 1, t, channels));
        run_with_scratch(samc__token_attention_cuda, samc__token_attention_cuda_scratch, args);
        for (size_t i = 0; i < one.count; i++)
            if (one.at(i) != queries.at(last + i))
                failed("element %zu of the last prompt alone differs from the batch", i);
    }
    layer.check();
    for (const Tensor *tensor : {&queries, &pe}) tensor->device->check();
}

static const Check check("token_attention", "prompts T C inner heads positions biases type",
                         with_every_count(
                             {
                                 // One token, prompts that cross blocks of 16 rows, more tokens than a warp has lanes,
                                 // odd widths; plain and tensor-core products.
                                 {0, {1, 1, 8, 8, 1, 0, 0, 0}},
                                 {0, {3, 7, 20, 10, 2, 1, 1, 0}},
                                 {0, {2, 37, 24, 24, 3, 1, 1, 2}},
                                 {0, {5, 7, 256, 256, 8, 1, 1, 0}},
                                 {0, {3, 5, 128, 128, 8, 0, 1, 1}},
                                 {0, {2, 8, 256, 256, 8, 0, 1, 2}},
                                 {0, {5, 9, 128, 128, 8, 1, 0, 2}},
                                 {1, {1, 130, 256, 256, 8, 1, 1, 1}},
                                 {1, {33, 7, 256, 256, 8, 1, 1, 2}},
                                 {2, {1024, 7, 256, 256, 8, 1, 1, 2}},
                             },
                             {{1, {1, 0, 256, 256, 8, 1, 1, 0}},
                              {1, {1, 0, 128, 128, 8, 1, 1, 1}},
                              {1, {1, 0, 256, 256, 8, 1, 1, 2}},
                              {1, {1, 0, 128, 128, 8, 1, 1, 0}},
                              {1, {1, 0, 256, 256, 8, 1, 1, 1}},
                              {1, {1, 0, 128, 128, 8, 1, 1, 2}}}),
                         token_attention);

} // namespace emu_test

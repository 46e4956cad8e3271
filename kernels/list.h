/* The one list of operators, in the order in which an image meets them: a line here is all that registers the folder
 * kernels/<name>. Function tables, argument checks, trace names, operator checks and benchmark rows are generated from
 * it; there is no include guard because it is included many times.
 *
 * SAMC_OP(name, CPU | AVX | REF, CUDA | LIBRARY, F32 | LOW | WIDE): whether its cpu.c serves hosts, once for every rung
 * or from AVX2 on, or its reference alone; whether its kernel serves GPUs, or library.c chooses between that and
 * NVIDIA's; on hosts with products of 16 bits: it never sees an activation and serves as it is, it has low.c for bf16
 * ones, or it lacks that, and a model that needs it has f32 activations there. */
SAMC_OP(preprocess, AVX, CUDA, LOW)
SAMC_OP(linear, CPU, LIBRARY, LOW)
SAMC_OP(layernorm, CPU, CUDA, LOW)
SAMC_OP(attention_relpos, CPU, CUDA, LOW)
SAMC_OP(attention_plain, CPU, CUDA, LOW)
SAMC_OP(conv3x3, CPU, LIBRARY, LOW)
SAMC_OP(depthwise, CPU, CUDA, LOW)
SAMC_OP(grouped_linear, CPU, CUDA, LOW)
SAMC_OP(linear_attention, CPU, CUDA, LOW)
SAMC_OP(max_pool, REF, CUDA, LOW)
SAMC_OP(upscale_bicubic, CPU, CUDA, F32)
SAMC_OP(add_rows, REF, CUDA, LOW)
SAMC_OP(unit_rows, REF, CUDA, F32)
SAMC_OP(embed_grid, REF, CUDA, LOW)
SAMC_OP(embed_prompts, REF, CUDA, F32)
SAMC_OP(embed_mask, CPU, CUDA, LOW)
SAMC_OP(token_attention, REF, CUDA, F32)
SAMC_OP(token_to_image, CPU, CUDA, LOW)
SAMC_OP(image_to_token, CPU, CUDA, LOW)
SAMC_OP(upscale_masks, CPU, CUDA, LOW)
SAMC_OP(upscale_map, CPU, CUDA, LOW)
SAMC_OP(refine_masks, CPU, CUDA, LOW)
SAMC_OP(choose_masks, REF, CUDA, F32)
SAMC_OP(select_masks, REF, CUDA, F32)
SAMC_OP(finish_masks, CPU, CUDA, F32)
SAMC_OP(mask_rle, AVX, CUDA, F32)
SAMC_OP(nms, REF, CUDA, F32)
SAMC_OP(small_regions, REF, CUDA, F32)

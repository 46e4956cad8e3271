/* The one list of operators, in the order in which an image meets them: a line here is all that registers the folder
 * kernels/<name>. Function tables, argument checks, trace names, operator checks and benchmark rows are generated from
 * it; there is no include guard because it is included many times.
 *
 * SAMC_OP(name, CPU | AVX | REF, CUDA | LIBRARY): whether its cpu.c serves hosts, once for every rung or from AVX2 on,
 * or its reference alone; whether its kernel serves GPUs, or library.c chooses between that and NVIDIA's. */
SAMC_OP(preprocess, AVX, CUDA)
SAMC_OP(linear, CPU, LIBRARY)
SAMC_OP(layernorm, CPU, CUDA)
SAMC_OP(attention_relpos, CPU, CUDA)
SAMC_OP(conv3x3, CPU, LIBRARY)
SAMC_OP(add_rows, REF, CUDA)
SAMC_OP(embed_grid, REF, CUDA)
SAMC_OP(embed_prompts, REF, CUDA)
SAMC_OP(embed_mask, CPU, CUDA)
SAMC_OP(token_attention, REF, CUDA)
SAMC_OP(token_to_image, CPU, CUDA)
SAMC_OP(image_to_token, CPU, CUDA)
SAMC_OP(upscale_masks, CPU, CUDA)
SAMC_OP(select_masks, REF, CUDA)
SAMC_OP(finish_masks, CPU, CUDA)
SAMC_OP(mask_rle, AVX, CUDA)
SAMC_OP(nms, REF, CUDA)
SAMC_OP(small_regions, REF, CUDA)

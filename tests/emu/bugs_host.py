"""Seeded bugs of the CUDA backend's host side; see host_mutations.py.

name: (file, text, replacement, program that must find it, its arguments where a part of it is enough)"""

SESSION = "runtime/cuda_session.c"
UP = (
    "        SAMC__CUDA_TRY(s->error, cudaEventSynchronize(slot->done),\n"
    "                       \"during an upload\"); /* its last copy has been read */\n"
)
DOWN = "            SAMC__CUDA_TRY(s->error, cudaEventSynchronize(slot->done), doing);\n"

# Not here: images that are dropped while the encoder still writes there (samc__session_drop_images). The encoder of the
# emulation has then either done all or does it after everything else, and what it writes over is read between these.
BUGS = {
    "a pinned slot is filled again before its copy has run": (SESSION, UP, "", "session_test"),
    "a pinned slot is read before its copy has run": (SESSION, DOWN, "", "session_test"),
    "a download does not wait for the computing stream": (
        SESSION,
        "    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->download, l->reached, 0), doing);\n",
        "",
        "session_test",
    ),
    "a copy is not followed by its event": (
        SESSION,
        "        SAMC__CUDA_TRY(s->error, cudaEventRecord(slot->done, s->download), doing);\n",
        "",
        "session_test",
    ),
    "the encoder does not wait for the image": (
        SESSION,
        "    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(l->cuda.stream, b->arrived, 0), doing);\n",
        "",
        "session_test",
    ),
    "an image goes up over one that is being read": (
        SESSION,
        "    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->upload, b->read, 0), doing);\n",
        "",
        "session_test",
    ),
    "a stream follows itself": (
        SESSION,
        "cudaEventRecord(before->reached, before->cuda.stream)",
        "cudaEventRecord(before->reached, exec->cuda->stream)",
        "session_test",
    ),
    "a stream does not wait": (
        SESSION,
        "samc__cuda_status(exec->error, cudaStreamWaitEvent(exec->cuda->stream, before->reached, 0),\n"
        "                             \"between two streams\")",
        "SAMC_OK",
        "session_test",
    ),
    "an image buffer does not grow": (SESSION, "if (bytes > b->bytes) {", "if (b->memory == NULL) {", "session_test"),
    "an image's pinned memory is filled again before its copy has run": (
        SESSION,
        "        SAMC__CUDA_TRY(s->error, cudaEventSynchronize(b->arrived),\n"
        "                       doing); /* what this memory held went up IMAGES images ago */\n",
        "",
        "session_test",
    ),
    "masks are made before their points are decoded": (
        "runtime/auto_rounds.c",
        "    SAMC__TRY(s->post.place->wait(&s->post, &s->exec));\n",
        "",
        "engine_test",
    ),
    "numbers are read before they have come down": (
        SESSION,
        "samc__cuda_status(s->error, cudaEventSynchronize(s->boxes[number].done), \"while results were fetched\")",
        "SAMC_OK",
        "engine_test",
    ),
    "what is fetched is not yet computed": (
        SESSION,
        "    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->download, l->reached, 0), doing);\n    SAMC__CUDA_TRY(\n"
        "        s->error,\n        pitch == bytes",
        "    SAMC__CUDA_TRY(\n        s->error,\n        pitch == bytes",
        "engine_test",
    ),
    "rounds share their logits": ("runtime/auto_rounds.c", "    run->next = 1 - run->next;\n", "", "engine_test",
        "1",
        "overlap"),
    "rows are copied without their pitch": (
        SESSION,
        "bool dense = rows == 1 || (to_pitch == bytes && from_pitch == bytes);",
        "bool dense = true;",
        "session_test",
    ),
    "scratch is not freed": (
        SESSION,
        "    device_free(l->session, l->cuda.scratch, l->cuda.scratch_bytes);\n    if (l->reached)",
        "    if (l->reached)",
        "session_test",
    ),
    "an event is not destroyed": (SESSION, "    if (l->reached) cudaEventDestroy(l->reached);\n", "", "session_test"),
    "pinned memory is not freed": (
        SESSION,
        "        if (slots[i].memory) cudaFreeHost(slots[i].memory);\n",
        "",
        "session_test",
    ),
    "memory is freed twice": (SESSION, "        l->chunks[i] = l->chunks[--l->chunk_count];\n", "", "session_test"),
    "the host reads a tensor itself": (
        SESSION,
        "    return samc__cuda_status(cuda->error, code, \"while tensors were copied\");",
        "    if (rows == 1) memcpy(to, from, bytes);\n"
        "    return samc__cuda_status(cuda->error, code, \"while tensors were copied\");",
        "session_test",
    ),
    "weights are used before they have arrived": (
        "runtime/cuda_device.c",
        "samc__cuda_status(error, cudaDeviceSynchronize(), \"while weights were uploaded\")",
        "SAMC_OK",
        "engine_test",
    ),
    "prompts do not wait for the encoder": (
        "runtime/lifetime.c",
        "    SAMC__TRY(s->exec.place->wait(&s->exec, &s->encoder));\n",
        "",
        "engine_test",
    ),
    "the encoder does not wait for prompts": (
        "runtime/lifetime.c",
        "    return s->encoder.place->wait(&s->encoder, &s->exec);\n",
        "    return SAMC_OK;\n",
        "engine_test",
    ),
    "images are encoded over those whose masks are made": (
        "runtime/auto.c",
        "next.place = two ? most - now.place : 0;",
        "next.place = 0;",
        "engine_test",
    ),
    "images that were encoded ahead are not waited for": (
        "runtime/auto.c",
        "    if (!group->encoded) {\n        SAMC__TRY(samc__session_synchronize(s));\n"
        "        SAMC__TRY(encode_group(s, group));\n    }\n    return samc__session_synchronize(s);",
        "    if (group->encoded) return SAMC_OK;\n    SAMC__TRY(samc__session_synchronize(s));\n"
        "    SAMC__TRY(encode_group(s, group));\n    return samc__session_synchronize(s);",
        "engine_test",
    ),
    "nothing is encoded ahead": ("runtime/auto_rounds.c", "    began += samc__encode_ahead(g);\n", "", "engine_test",
        "1",
        "overlap"),
    "the image cache of an image encoded over stays": (
        "runtime/images.c",
        "    if (first < s->cached_first + s->cached_images && s->cached_first < first + count)\n"
        "        s->cached_images = 0; /* of what was there */\n",
        "",
        "engine_test",
        "1",
        "overlap",
    ),
    "the bias of a residual's layer is left out": (
        "kernels/cuda/libraries.c",
        "bias ? SAMC__LT_EPILOGUE_BIAS : SAMC__LT_EPILOGUE_DEFAULT",
        "SAMC__LT_EPILOGUE_DEFAULT",
        "engine_test",
    ),
    "cuDNN's workspace lies over the weight": (
        "kernels/conv3x3/library.c",
        "(char *)exec->cuda->scratch + by_tap_bytes(args));",
        "exec->cuda->scratch);",
        "engine_test",
    ),
    "cuDNN's weight is not laid out by tap": (
        "kernels/conv3x3/library.c",
        "    by_tap.w.data = exec->cuda->scratch;\n",
        "",
        "engine_test",
    ),
    "cuDNN multiplies f32 as TF32": (
        "kernels/cuda/libraries.c",
        "type == SAMC__DNN_DATA_FLOAT ? SAMC__DNN_FMA_MATH : SAMC__DNN_TENSOR_OP_MATH",
        "SAMC__DNN_TENSOR_OP_MATH",
        "engine_test",
    ),
    "calls do not go to their own GPU": (
        "runtime/lifetime.c",
        "return s->model->device ? samc__cuda_enter(s->model->device, &s->error) : SAMC_OK;",
        "return s->model ? SAMC_OK : SAMC_INTERNAL;",
        "engine_test",
        "1",
        "two devices",
    ),
    "a mask is asked of the GPU that was used last": (
        "runtime/predict.c",
        "    SAMC__TRY(samc__session_enter(s));\n    const samc__frame *g",
        "    const samc__frame *g",
        "engine_test",
        "1",
        "two devices",
    ),
    "cuDNN's refusal is taken for its result": (
        "kernels/conv3x3/library.c",
        "    return done ? SAMC_OK : samc__conv3x3_own(exec, args);\n",
        "    return done ? SAMC_OK : SAMC_OK;\n",
        "engine_test",
    ),
    "cuDNN's handle is on no stream": (
        "kernels/cuda/libraries.c",
        "    return l->dnn.SetStream(*handle, cuda->stream);\n",
        "    return SAMC__DNN_SUCCESS;\n",
        "engine_test",
    ),
    "cuDNN is given rows of any length": (
        "kernels/conv3x3/choice.c",
        " && (size_t)channels * samc__dtype_size(v.dtype) % ALIGNMENT == 0",
        " && channels > 0",
        "session_test",
    ),
    "no pass after the product whose GELU it is": (
        "kernels/linear/library.c",
        "    return samc__bias_gelu_cuda(exec->cuda, args->y, args->y_stride, args->p.b);\n",
        "    return SAMC_OK;\n",
        "engine_test",
    ),
    "an algorithm of another product is used": (
        "kernels/cuda/libraries.c",
        "memcmp(&l->plan[i].of, of, sizeof *of) == 0",
        "l->plan[i].of.k == of->k",
        "engine_test",
    ),
    "an algorithm is chosen for the rows at hand": (
        "kernels/cuda/libraries.c",
        "&of, USUAL_ROWS, bias",
        "&of, a->x.n[0], bias",
        "machine_test",
    ),
    "an algorithm that splits k is taken": (
        "kernels/cuda/libraries.c",
        " || splits_k(l, algorithm))\n            continue;",
        ")\n            continue;",
        "machine_test",
    ),
    "a refusal of cuBLASLt ends the call": (
        "kernels/linear/library.c",
        "return samc__linear_cublas(exec->cuda, args) ? SAMC_OK : samc__linear_own(exec, args);",
        "return samc__linear_cublas(exec->cuda, args) ? SAMC_OK : SAMC_INTERNAL;",
        "machine_test",
    ),
}

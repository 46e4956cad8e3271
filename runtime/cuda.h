/* What the engine asks of CUDA. runtime/cuda_none.c answers in builds without it, runtime/cuda_*.c in the others. */
#ifndef SAMC_RUNTIME_CUDA_H
#define SAMC_RUNTIME_CUDA_H

#include "kernels/place.h"
#include "runtime/model/tensors.h"

typedef struct samc__cuda_device samc__cuda_device;   /* a GPU in use, with a model's weights */
typedef struct samc__cuda_session samc__cuda_session; /* streams, memory and library handles of one session */

/* How much a session does at a time. */
typedef struct samc__session_size {
    int prompts; /* decoded together */
    int groups;  /* of images that have embeddings: with 2, one is encoded while the masks of the other are made */
    int images;  /* encoded together, a group */
} samc__session_size;

bool samc__cuda_built(void);

/* Folders in which NVIDIA's libraries are looked for beyond the loader's, from the environment (runtime/options.c); or
 * NULL. */
const char *samc__options_cuda_libraries(void);

/* samc_get_cuda_libraries(). */
void samc__cuda_describe_libraries(char *cublaslt, char *cudnn, size_t size);

/* Describes the first device in words, or why there is none; false: none. */
bool samc__cuda_describe(char *text, size_t size);

int samc__cuda_count(void); /* devices that this build sees */

/* The GPU of that number. NO_DEVICE with one line that says why; UNSUPPORTED where this build lacks an operator or has
 * no code that the GPU can run. */
samc_status samc__cuda_open(int number, samc__cuda_device **device, samc_error *error);

/* Makes it the calling thread's current device, which CUDA's calls are about: every public call on a model or a session
 * begins so. */
samc_status samc__cuda_enter(const samc__cuda_device *device, samc_error *error);

void samc__cuda_close(samc__cuda_device *device); /* NULL is allowed; no session may be open */

/* Fills the operator table. */
void samc__cuda_table(samc__ops *ops);

/* What the user may want to know of it: that cuBLASLt is not there; or "". Lives as long as the device. */
const char *samc__cuda_note(const samc__cuda_device *device);

/* Brings every tensor of the model to the device, those that go with the activations in `precision`, and points the
 * views there. */
samc_status samc__cuda_load(samc__cuda_device *device, const samc__tensor_list *tensors, samc__dtype precision,
                            samc_error *error);
size_t samc__cuda_weight_bytes(const samc__cuda_device *device);

/* The size of a session for the memory that the device has free now. */
samc__session_size samc__cuda_fitting_size(const samc_model *model);

/* Opens a session: `exec`, `encoder` and `post` come as the host's and leave with the device's tensors, table and
 * streams: for prompts, for images, and for what follows a decoded batch beside the next. The memory that `size` takes
 * is planned, then allocated at once; where it is not there after all, `size` becomes the next smaller one. */
samc_status samc__cuda_session_open(samc__cuda_device *device, const samc_model *model, samc__exec *exec,
                                    samc__exec *encoder, samc__exec *post, samc__session_size *size,
                                    samc__cuda_session **session);
void samc__cuda_session_close(samc__cuda_session *session); /* NULL is allowed */
void samc__cuda_session_memory(const samc__cuda_session *session, samc_memory *memory);

/* How many prompts of `tokens` tokens on `images` images, `most` at most and that down to what a GPU is not idle with,
 * go together in the memory that was planned for the session, which keeps `kept` embeddings. */
int samc__cuda_session_prompts(const samc__cuda_session *session, const samc_model *model, int most, int images,
                               int tokens, bool masked, int kept);

/* Device memory that samc__cuda_session_open() will take. */
size_t samc__cuda_planned_bytes(const samc_model *model, samc__session_size size);

/* Device memory that encoding one image takes. */
size_t samc__cuda_encode_bytes(const samc_model *model);

#endif

/* Saved image embeddings, so that an image is encoded once and prompted often: .safetensors (checked) or .npy (plain).
 */
#ifndef SAMC_HOST_IO_EMBEDDING_H
#define SAMC_HOST_IO_EMBEDDING_H

#include "runtime/samc.h"

/* Moves the message of a session's failed call to `error`, with the file's name in front; passes SAMC_OK on. */
samc_status samc__session_check(const samc_session *session, samc_status status, const char *path, samc_error *error);

/* True for "*.npy"; *known is false where the name ends in neither .npy nor .safetensors. */
bool samc__embedding_is_npy(const char *path, bool *known);

/* Writes the embedding of image 0 in the format its name asks for. */
samc_status samc__embedding_save(samc_session *session, const samc_model_info *model, const char *path,
                                 samc_error *error);

/* Sets image 0 from a file. A .safetensors file carries the model's hash and the image's size, and both must fit; a
 * .npy file carries neither, and the size given here is taken on trust. */
samc_status samc__embedding_load(samc_session *session, const samc_model_info *model, const char *path,
                                 const char *image, int width, int height, samc_error *error);

#endif

/* NVIDIA's libraries through the loader: dlopen by the names that their versions have, the newest first. */
#include "kernels/cuda/nvidia.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Majors whose functions of nvidia.h are the same. */
static const char *const cublaslt_names[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
static const char *const cudnn_names[] = {"libcudnn.so.9", NULL};

/* The library by the first of its names that opens: as the loader finds it, then in each of the folders. */
static void *open_by_name(const char *const *names, const char *folders, char *text) {
    void *library = NULL;
    for (int i = 0; names[i] != NULL && library == NULL; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (const char *at = folders; library == NULL && at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        for (int i = 0; names[i] != NULL && library == NULL && length > 0; i++) {
            char path[4096];
            int size = snprintf(path, sizeof path, "%.*s/%s", (int)length, at, names[i]);
            if (size > 0 && (size_t)size < sizeof path) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        }
        at += length + (at[length] == ':');
    }
    if (library == NULL) snprintf(text, SAMC__NVIDIA_TEXT, "%s is not installed", names[0]);
    return library;
}

/* One function; NULL with its name in `text` where the library lacks it. */
static void *symbol(void *library, const char *name, char *text) {
    void *found = dlsym(library, name);
    if (found == NULL) snprintf(text, SAMC__NVIDIA_TEXT, "the library lacks %s", name);
    return found;
}

/* Path and version: both libraries count major * 10000 + minor * 100 + patch. */
static void describe(void *library, const char *version_name, char *text) {
    union {
        void *object;
        size_t (*function)(void);
    } at = {dlsym(library, version_name)};
    size_t version = at.object != NULL ? at.function() : 0;
    Dl_info info;
    const char *path =
        at.object != NULL && dladdr(at.object, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "?";
    snprintf(text, SAMC__NVIDIA_TEXT, "%.400s, version %zu.%zu.%zu", path, version / 10000, version % 10000 / 100,
             version % 100);
}

/* Converted through a union: C has no cast from an object pointer to a function's. */
#define FIND(name, parameters)                                                                                         \
    if (library != NULL) {                                                                                             \
        union {                                                                                                        \
            void *object;                                                                                              \
            int(*function) parameters;                                                                                 \
        } at = {symbol(library, PREFIX #name, text)};                                                                  \
        functions->name = at.function;                                                                                 \
        if (at.object == NULL) dlclose(library), library = NULL;                                                       \
    }

void *samc__cublaslt_open(samc__cublaslt *functions, const char *folders, char *text) {
    void *library = open_by_name(cublaslt_names, folders, text);
#define PREFIX "cublasLt"
    SAMC__CUBLASLT_FUNCTIONS(FIND)
#undef PREFIX
    if (library != NULL) describe(library, "cublasLtGetVersion", text);
    return library;
}

void *samc__cudnn_open(samc__cudnn *functions, const char *folders, char *text) {
    void *library = open_by_name(cudnn_names, folders, text);
#define PREFIX "cudnn"
    SAMC__CUDNN_FUNCTIONS(FIND)
#undef PREFIX
    if (library != NULL) describe(library, "cudnnGetVersion", text);
    return library;
}

void samc__nvidia_close(void *library) {
    if (library != NULL) dlclose(library);
}

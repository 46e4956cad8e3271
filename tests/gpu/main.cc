// samc-gpu - everything that is asked of a GPU, in one program without dependencies: see the heads of the files in
// verbs.h for each verb.
//
//     samc-gpu hello | device | check | libraries | golden | weights | oracle | parity | bytes | speed | auto ...
#include "verbs.h"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int, char **);
    } verbs[] = {
        {"check", check_main}, {"device", device_main}, {"libraries", libraries_main}, {"golden", golden_main}};
    if (argc < 2) {
        std::fprintf(
            stderr, "usage: samc-gpu hello|device|check|libraries|golden|weights|oracle|parity|bytes|speed|auto ...\n");
        return 2;
    }
    for (const auto &verb : verbs)
        if (std::strcmp(argv[1], verb.name) == 0) return verb.run(argc - 1, argv + 1);
    return engine_main(argc, argv);
}

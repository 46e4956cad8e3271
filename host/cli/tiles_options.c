/* --tile of samc auto, and the options that go with it. */
#include "host/cli/tiles_options.h"

#include <stdlib.h>
#include <string.h>

samc__cli_tiles samc__cli_tiles_begin(void) {
    samc__cli_tiles tiles = {.options = SAMC_INIT(samc_tiles_options)};
    samc_tiles_default_options(&tiles.options);
    return tiles;
}

/* "37,-5" */
static bool parse_origin(const char *text, samc_tiles_options *o) {
    enum { MOST = 1 << 30 };
    const char *comma = strchr(text, ',');
    char first[16];
    int value[2], sign[2] = {1, 1};
    if (comma == NULL || comma - text >= (int)sizeof first) return false;
    memcpy(first, text, (size_t)(comma - text));
    first[comma - text] = '\0';
    const char *const parts[2] = {first, comma + 1};
    for (int i = 0; i < 2; i++) {
        if (*parts[i] == '-') sign[i] = -1;
        if (!samc__cli_integer(parts[i] + (sign[i] < 0), 0, MOST, &value[i])) return false;
    }
    o->origin_x = sign[0] * (int64_t)value[0], o->origin_y = sign[1] * (int64_t)value[1];
    return true;
}

int samc__cli_tiles_option(samc__cli_tiles *t, const samc__cli *cli, int option, const char *argument) {
    static const char *const names[] = {"tile",   "halo",  "levels",  "tile-origin",
                                        "stitch", "bands", "simplify"}; /* in the order of the values */
    samc_tiles_options *o = &t->options;
    char *end;
    if (option == SAMC__TILES_TILE) t->asked = true;
    else if (t->first == NULL) t->first = names[option - SAMC__TILES_TILE];
    if (option == SAMC__TILES_TILE && !samc__cli_integer(argument, 128, 8192, &o->tile))
        return samc__cli_usage(cli, "--tile is a whole number from 128 to 8192, not '%s'", argument);
    if (option == SAMC__TILES_HALO && !samc__cli_integer(argument, 32, 4095, &o->halo))
        return samc__cli_usage(cli, "--halo is a whole number from 32 to less than half of --tile, not '%s'", argument);
    if (option == SAMC__TILES_LEVELS) {
        if (strcmp(argument, "auto") == 0) o->levels = 0;
        else if (!samc__cli_integer(argument, 1, 24, &o->levels))
            return samc__cli_usage(cli, "--levels is auto or a whole number from 1 to 24, not '%s'", argument);
    }
    if (option == SAMC__TILES_ORIGIN && !parse_origin(argument, o))
        return samc__cli_usage(cli, "--tile-origin is X,Y, two whole numbers, not '%s'", argument);
    if (option == SAMC__TILES_STITCH) o->stitch = true;
    if (option == SAMC__TILES_BANDS) o->bands = argument;
    if (option == SAMC__TILES_SIMPLIFY) {
        o->simplify = strtod(argument, &end);
        if (end == argument || *end != '\0' || !(o->simplify >= 0.0 && o->simplify < 1e12))
            return samc__cli_usage(cli, "--simplify is a distance in units of the map, not '%s'", argument);
    }
    return SAMC__EXIT_OK;
}

/* Names of an archive run's files, and the images of its records. */
#include "host/io/collector.h"

#include <stdio.h>
#include <string.h>

void samc__archive_state_name(const samc_archive_options *o, char *name) {
    if (o->shards == 1) strcpy(name, ".samc");
    else snprintf(name, 128, ".samc-%d-of-%d", o->shard, o->shards);
}

void samc__archive_file_name(const samc_archive_options *o, const char *stem, const char *ending, int64_t part,
                             char *name) {
    char shard[40] = "", piece[32] = "";
    if (o->shards > 1) snprintf(shard, sizeof shard, ".%d-of-%d", o->shard, o->shards);
    if (part >= 0) snprintf(piece, sizeof piece, "-%05lld", (long long)part);
    snprintf(name, 128, "%.20s%s%s%.10s", stem, shard, piece, ending);
}

void samc__samples_name(int64_t unit, char name[SAMC__STORE_NAME]) {
    snprintf(name, SAMC__STORE_NAME, "samples-%lld.tar", (long long)unit);
}

int64_t samc__collector_image(const samc__collector *c, int64_t number, int64_t *input) {
    int64_t image = number < c->total ? number : c->journal->scan.failed[number - (c->end - c->retries)];
    *input = image * c->options->shards + c->options->shard;
    return image;
}

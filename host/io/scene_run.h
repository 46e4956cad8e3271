/* A run over a scene: tiles, from the coarsest level on and from top to bottom, then what is left of their masks, into
 * files. As a run over archives it survives whatever happens (docs/archives.md): after each group of tiles their masks
 * are synced, then the journal, and a resumed run goes on there. The files at the end have the same bytes, however
 * often it was interrupted and whoever did which tiles.
 *
 *   <output>/.samc-run.json       what another run must share
 *   <output>/.samc[-I-of-N]/      of the tiles, all or those of a shard:
 *       journal, inputs           as journal.h has them; a record for each tile, of which `lines` and `errors` are the
 *                                 lengths of the next two
 *       records, errors           masks (scene_spool.h); a line of JSON for each part that cannot be read
 *   <output>/.samc or .samc-merge of what comes behind the last tile, the masks of all shards:
 *       refined                   masks of reduced levels with finer outlines; a record for each window, and
 *                                 `annotations` is its length
 *       stitched                  pieces that were put together; made anew each time, gone at the end
 *       tmp/N<suffix>, marks      the results, on their way to their names
 *
 * Shards are rows of tiles: each has those of its part of all tiles, in their order. The one that is through last, or
 * is resumed when all are, does what comes behind. */
#ifndef SAMC_HOST_IO_SCENE_RUN_H
#define SAMC_HOST_IO_SCENE_RUN_H

#include "host/io/scene_job.h"

/* SAMC_STOPPED where it was stopped; *counts is filled in whatever happens. Afterwards counts->bad > 0 says that parts
 * of the scene are missing, which errors.jsonl names. */
samc_status samc__scene_run(const samc__scene_job *job, samc__scene_counts *counts, samc_error *error);

#endif

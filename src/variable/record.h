/* SPDX-License-Identifier: MIT
 * What a tape holds: shared by recording (tape.c) and gradients (backward.c). */
#ifndef TVI_RECORD_H
#define TVI_RECORD_H

#include "tape.h"

/* A value that the tape knows. */
typedef struct {
  tvi_spec spec;   /* its shape lies in the arena */
  int32_t leaf;    /* the read whose bytes it shows, or -1 */
  bool is_watched; /* carries a gradient */
} tvi_slot;

/* A read of a Variable. */
typedef struct {
  tv_variable *variable; /* retained */
  uint64_t version;
  int32_t slot;
} tvi_leaf;

/* An op. All arrays lie in the arena. */
typedef struct {
  const tvi_rule *rule;
  int32_t *in;       /* [n_in] slots, -1 for what the tape does not know */
  tv_tensor **saved; /* [n_in + 1], the result last; retained, NULL where nothing reads it */
  int64_t *numbers;
  uint64_t *epochs; /* [n_in + 1] of the borrows among `saved`; NULL: there are none */
  int32_t n_in, out;
} tvi_record_entry;

typedef struct {
  uint64_t id; /* of the tensor; 0: empty */
  int32_t slot;
} tvi_map_entry;

struct tv_tape {
  tv_tape *outer; /* the next open one on this thread */
  uint64_t id;
  bool is_persistent;
  bool is_stopped; /* has given its one gradient, or is computing it: records nothing */
  bool finds_anomalies;
  tv_mutation_policy mutation;
  tvi_map_entry *map; /* [map_room], a power of two */
  tvi_slot *slots;
  tvi_record_entry *records;
  tvi_leaf *leaves;
  struct tvi_chunk *arena;
  int32_t map_room, n_slots, slots_room, n_records, records_room, n_leaves, leaves_room;
};

/* The slot of the tensor with an id, or -1. */
int32_t tvi_tape_slot(const tv_tape *tape, uint64_t id);

/* Of input k of a rule. */
uint8_t tvi_rule_uses(const tvi_rule *rule, int k);
tvi_gradient *tvi_rule_gradient(const tvi_rule *rule, int k);

/* Whether a gradient that `uses` so much reads input k. */
static inline bool tvi_rule_reads(const tvi_rule *rule, uint8_t uses, int k) {
  return rule->custom ? uses & TVI_USES_IN0 : k < 3 && uses >> k & 1;
}

/* Gradients of target, whose own is `seed`, by those of n sources that are wanted; the others stay
 * as they are. */
tv_status tvi_tape_gradient_by(tv_tape *tape, tv_tensor *target, tv_tensor *seed, int n,
                               const bool *wanted, tv_tensor *const *sources,
                               tv_tensor **gradients);

/* Whether it is open on this thread; TV_ETAPE, naming `who`, if not. */
bool tvi_tape_is_open(const char *who, const tv_tape *tape);

/* Give back all that was recorded. */
void tvi_tape_forget(tv_tape *tape);

#endif

/* SPDX-License-Identifier: MIT
 * Training that is stopped and goes on as if it had never been.
 *
 *     checkpoint_resume DATA FILE
 *
 * reads DATA/digits_images.npy and DATA/digits_labels.npy, and trains a classifier twice: once for
 * six epochs without a stop; once for three epochs, then saved to FILE (.npz or .safetensors) and
 * released, and taken up again from the file alone by a second training for three more. Each epoch
 * draws its own order of the images, so the random key is part of what is saved. Exit status 1
 * unless both end with the same bits. */
#include <stdio.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

enum { EPOCHS = 6, STOP = 3, BATCH = 100, PIXELS = 64, CLASSES = 10 };

/* All that a training is. What a checkpoint saves of it is what changes. */
typedef struct {
  tv_variable *weights, *biases;
  tv_optimizer *adam;
  tv_key key;
  int64_t epoch;
  tv_checkpoint *checkpoint;
} training;

static void begin(training *t, uint64_t seed) {
  tv_adam_options options = TV_ADAM_OPTIONS;
  options.learning_rate = .01;
  t->key = tv_key_from_seed(seed);
  t->epoch = 0;
  t->weights = tv_variable_new(tv_random_normal(t->key, TV_F32, TV_SHAPE(PIXELS, CLASSES)), NULL);
  t->biases = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(CLASSES)), NULL);
  t->adam = tv_adam_new(&options);
  t->checkpoint = tv_checkpoint_new();
  tv_checkpoint_add_variable(t->checkpoint, "weights", t->weights);
  tv_checkpoint_add_variable(t->checkpoint, "biases", t->biases);
  tv_checkpoint_add_optimizer(t->checkpoint, "adam", t->adam);
  tv_checkpoint_add_key(t->checkpoint, "key", &t->key);
  tv_checkpoint_add_counter(t->checkpoint, "epoch", &t->epoch);
}

static void end(training *t) {
  tv_checkpoint_release(t->checkpoint);
  tv_optimizer_release(t->adam);
  tv_variable_release(t->weights);
  tv_variable_release(t->biases);
}

static void step(training *t, tv_tensor *x, tv_tensor *labels) {
  tv_variable *const all[] = {t->weights, t->biases};
  tv_tensor *g[2];
  tv_scope outer, pass;
  tv_scope_begin(&outer);
  tv_scope_begin(&pass);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const logits = tv_add(tv_matmul(x, tv_read(t->weights)), tv_read(t->biases));
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(logits, labels), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, 2, all, g);
  tv_tape_end(tape);
  tv_scope_keep(g[0]);
  tv_scope_keep(g[1]);
  tv_scope_end(&pass, NULL);
  tv_optimizer_step(t->adam, 2, all, g);
  tv_scope_end(&outer, NULL);
}

/* Train until so many epochs have passed. */
static void train(training *t, tv_tensor *images, tv_tensor *labels, int64_t until) {
  const int64_t n = tv_tensor_shape(images)[0];
  while (t->epoch < until && !tv_error()) {
    tv_scope scope;
    tv_scope_begin(&scope);
    t->key = tv_key_fold(t->key, 1);
    tv_tensor *const order = tv_random_permutation(t->key, n);
    for (int64_t at = 0; at + BATCH <= n; at += BATCH) {
      const tv_index range[] = {TV_RANGE(at, at + BATCH, 1)};
      tv_tensor *const batch = tv_slice_with(order, 1, range);
      step(t, tv_take(images, batch, 0), tv_take(labels, batch, 0));
    }
    t->epoch++;
    tv_scope_end(&scope, NULL);
  }
}

static bool same_bits(tv_variable *a, tv_variable *b) {
  tv_tensor *const x = tv_read(a), *const y = tv_read(b);
  const void *const left = tv_tensor_data(x), *const right = tv_tensor_data(y);
  return left && right && tv_tensor_bytes(x) == tv_tensor_bytes(y) &&
         !memcmp(left, right, (size_t)tv_tensor_bytes(x));
}

static tv_tensor *loaded(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return tv_npy_load(path, NULL);
}

static bool run(const char *folder, const char *file) {
  training whole, first, second;
  tv_tensor *const raw = loaded(folder, "digits_images.npy");
  tv_tensor *const labels = loaded(folder, "digits_labels.npy");
  tv_tensor *const images =
      tv_divide(tv_reshape(tv_astype(raw, TV_F32), TV_SHAPE(-1, PIXELS)), tv_scalar(16));
  if (!images || !labels) return false;

  begin(&whole, 1);
  train(&whole, images, labels, EPOCHS);
  printf("without a stop: %d epochs\n", (int)whole.epoch);

  begin(&first, 1);
  train(&first, images, labels, STOP);
  tv_checkpoint_save(first.checkpoint, file, NULL);
  printf("stopped after %d epochs and saved\n", (int)first.epoch);
  end(&first);

  uint64_t version = 0;
  begin(&second, 2); /* other weights, which the file replaces */
  tv_checkpoint_restore(second.checkpoint, file, NULL);
  tv_checkpoint_saved_version(second.checkpoint, "weights", &version);
  printf("restored: epoch %d, step %d, weights saved at version %d\n", (int)second.epoch,
         (int)tv_optimizer_steps(second.adam), (int)version);
  train(&second, images, labels, EPOCHS);

  const bool is_same =
      same_bits(second.weights, whole.weights) && same_bits(second.biases, whole.biases);
  printf("after %d epochs: %s bits\n", (int)second.epoch, is_same ? "the same" : "OTHER");
  end(&second);
  end(&whole);
  return is_same;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: checkpoint_resume DATA FILE\n");
    return 2;
  }
  tv_scope scope;
  tv_scope_begin(&scope);
  const bool is_same = run(argv[1], argv[2]);
  const tv_status status = tv_scope_end(&scope, NULL);
  if (status) fprintf(stderr, "%s\n", tv_error_text());
  return status || !is_same;
}

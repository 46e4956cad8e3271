/* The pickle machine: every opcode of protocols 2 to 5 that does not need Python itself; see pickle.h for what it
 * refuses. */
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "weights/reader.h"

/* A checkpoint of SAM ViT-H makes about 12 000 objects. The bounds keep a hostile pickle below about 200 MB. */
enum { MAX_PICKLE = 64 << 20, MAX_OBJECTS = 4 << 20, MAX_CELLS = 4 << 20, MAX_STACK = 4 << 20, MAX_MEMO = 4 << 20 };

typedef struct index_array {
    uint32_t *items;
    size_t count, capacity;
} index_array;

typedef struct machine {
    samc__pickle *pickle;
    samc_error *error;
    size_t at;         /* next byte */
    size_t opcode_at;  /* for messages */
    index_array stack; /* objects */
    index_array marks; /* heights of the stack */
    index_array memo;  /* objects; 0 where nothing was put */
} machine;

static samc_status broken(const machine *m, const char *what) {
    return samc__fail(m->error, SAMC_FORMAT, "%s: data.pkl is damaged: %s at byte %zu", m->pickle->label, what,
                      m->opcode_at);
}

static samc_status no_memory(const machine *m) {
    return samc__fail(m->error, SAMC_OUT_OF_MEMORY, "%s: out of memory", m->pickle->label);
}

static samc_status too_much(const machine *m) {
    return samc__fail(m->error, SAMC_UNSUPPORTED,
                      "%s: data.pkl holds too many objects; re-save only the model's state_dict()", m->pickle->label);
}

/* Makes room for `wanted` elements, doubling; `limit` is the bound of the array. */
static samc_status reserve(const machine *m, void **array, size_t *capacity, size_t wanted, size_t element,
                           size_t limit) {
    if (wanted <= *capacity) return SAMC_OK;
    if (wanted > limit) return too_much(m);
    size_t larger = *capacity ? *capacity : 64;
    while (larger < wanted) larger *= 2;
    void *moved = realloc(*array, larger * element);
    if (moved == NULL) return no_memory(m);
    *array = moved;
    *capacity = larger;
    return SAMC_OK;
}

static samc_status append(const machine *m, index_array *array, uint32_t value, size_t limit) {
    void *items = array->items;
    samc_status status = reserve(m, &items, &array->capacity, array->count + 1, sizeof *array->items, limit);
    array->items = items;
    if (status == SAMC_OK) array->items[array->count++] = value;
    return status;
}

static samc_status push(machine *m, uint32_t object) { return append(m, &m->stack, object, MAX_STACK); }

static samc_status add_object(machine *m, samc__pickle_object object, uint32_t *index) {
    samc__pickle *p = m->pickle;
    void *objects = p->objects;
    samc_status status = reserve(m, &objects, &p->object_capacity, p->object_count + 1, sizeof object, MAX_OBJECTS);
    p->objects = objects;
    if (status != SAMC_OK) return status;
    *index = (uint32_t)p->object_count;
    p->objects[p->object_count++] = object;
    return SAMC_OK;
}

static samc_status push_new(machine *m, samc__pickle_object object) {
    uint32_t index = 0;
    SAMC__TRY(add_object(m, object, &index));
    return push(m, index);
}

static samc_status push_kind(machine *m, samc__pickle_kind kind) {
    return push_new(m, (samc__pickle_object){.kind = kind, .integer = 0});
}

static samc_status push_integer(machine *m, int64_t value) {
    return push_new(m, (samc__pickle_object){.kind = SAMC__PICKLE_INTEGER, .integer = value});
}

/* Objects above the last mark may be used up, the mark itself not: no mark is ever higher than the stack. */
static size_t above_mark(const machine *m) {
    return m->stack.count - (m->marks.count ? m->marks.items[m->marks.count - 1] : 0);
}

static samc_status pop(machine *m, uint32_t *object) {
    if (above_mark(m) == 0) return broken(m, "stack underflow");
    *object = m->stack.items[--m->stack.count];
    return SAMC_OK;
}

static samc_status top(const machine *m, uint32_t *object) {
    if (m->stack.count == 0) return broken(m, "stack underflow");
    *object = m->stack.items[m->stack.count - 1];
    return SAMC_OK;
}

/* Takes the last mark away; the objects above it stay on the stack, from *height on. */
static samc_status pop_mark(machine *m, size_t *height) {
    if (m->marks.count == 0) return broken(m, "no mark");
    *height = m->marks.items[--m->marks.count];
    return SAMC_OK;
}

static samc_status append_cell(machine *m, uint32_t container, uint32_t object) {
    samc__pickle *p = m->pickle;
    void *cells = p->cells;
    samc_status status = reserve(m, &cells, &p->cell_capacity, p->cell_count + 1, sizeof *p->cells, MAX_CELLS);
    p->cells = cells;
    if (status != SAMC_OK) return status;
    uint32_t cell = (uint32_t)p->cell_count++;
    p->cells[cell] = (samc__pickle_cell){.object = object, .next = 0};
    samc__pickle_object *to = &p->objects[container];
    if (to->first == 0) {
        to->first = cell;
    } else {
        p->cells[to->last].next = cell;
    }
    to->last = cell;
    return SAMC_OK;
}

/* Moves stack[height..] into a new container and pushes it. */
static samc_status collect(machine *m, samc__pickle_kind kind, size_t height) {
    uint32_t container = 0;
    if (kind == SAMC__PICKLE_DICT && (m->stack.count - height) % 2 != 0) return broken(m, "a key without a value");
    SAMC__TRY(add_object(m, (samc__pickle_object){.kind = kind, .integer = 0}, &container));
    for (size_t i = height; i < m->stack.count; i++) SAMC__TRY(append_cell(m, container, m->stack.items[i]));
    m->stack.count = height;
    return push(m, container);
}

/* Moves stack[height..] into the container below; `dict`: as pairs. Objects of unknown classes swallow what they are
 * given. */
static samc_status extend(machine *m, size_t height, bool dict) {
    if (height == 0) return broken(m, "stack underflow");
    uint32_t container = m->stack.items[height - 1];
    samc__pickle_kind kind = m->pickle->objects[container].kind;
    if (dict && (m->stack.count - height) % 2 != 0) return broken(m, "a key without a value");
    if (kind == (dict ? SAMC__PICKLE_DICT : SAMC__PICKLE_LIST)) {
        for (size_t i = height; i < m->stack.count; i++) SAMC__TRY(append_cell(m, container, m->stack.items[i]));
    } else if (kind != SAMC__PICKLE_OPAQUE && kind != SAMC__PICKLE_CALL) {
        return broken(m, "items added to something that is no container");
    }
    m->stack.count = height;
    return SAMC_OK;
}

static samc_status take(machine *m, size_t length, const uint8_t **bytes) {
    if (length > m->pickle->size - m->at) return broken(m, "cut off");
    *bytes = m->pickle->bytes + m->at;
    m->at += length;
    return SAMC_OK;
}

/* Reads a little-endian number of 1, 2, 4 or 8 bytes. */
static samc_status take_number(machine *m, int width, uint64_t *value) {
    const uint8_t *bytes = NULL;
    SAMC__TRY(take(m, (size_t)width, &bytes));
    *value = 0;
    for (int i = width; i-- > 0;) *value = *value << 8 | bytes[i];
    return SAMC_OK;
}

/* Pushes the next `length` bytes: as a string, or as an opaque object where they are no text. */
static samc_status take_string(machine *m, int width, samc__pickle_kind kind) {
    uint64_t length = 0;
    const uint8_t *bytes = NULL;
    SAMC__TRY(take_number(m, width, &length));
    if (length > m->pickle->size) return broken(m, "a string longer than the file");
    SAMC__TRY(take(m, (size_t)length, &bytes));
    if (kind == SAMC__PICKLE_OPAQUE) return push_kind(m, kind);
    uint32_t offset = (uint32_t)(bytes - m->pickle->bytes);
    return push_new(m, (samc__pickle_object){.kind = kind, .offset = offset, .length = (uint32_t)length});
}

static samc_status take_line(machine *m, uint32_t *string) {
    const uint8_t *start = m->pickle->bytes + m->at;
    const uint8_t *end = memchr(start, '\n', m->pickle->size - m->at);
    if (end == NULL) return broken(m, "cut off");
    uint32_t offset = (uint32_t)m->at;
    m->at += (size_t)(end - start) + 1;
    return add_object(
        m, (samc__pickle_object){.kind = SAMC__PICKLE_STRING, .offset = offset, .length = (uint32_t)(end - start)},
        string);
}

static samc_status take_long(machine *m, int width) {
    uint64_t length = 0;
    const uint8_t *bytes = NULL;
    SAMC__TRY(take_number(m, width, &length));
    if (length > m->pickle->size) return broken(m, "a number longer than the file");
    SAMC__TRY(take(m, (size_t)length, &bytes));
    if (length > 8) return push_kind(m, SAMC__PICKLE_OPAQUE);                 /* no size of a tensor */
    uint64_t value = length > 0 && bytes[length - 1] & 0x80 ? UINT64_MAX : 0; /* two's complement */
    for (size_t i = (size_t)length; i-- > 0;) value = value << 8 | bytes[i];
    return push_integer(m, (int64_t)value);
}

static samc_status put(machine *m, uint64_t slot) {
    uint32_t object = 0;
    SAMC__TRY(top(m, &object));
    if (slot >= MAX_MEMO) return too_much(m);
    /* Picklers number their memo from 0, so an index beyond the bytes read so far is none that one wrote. */
    if (slot >= m->at) return broken(m, "an impossible memo index");
    void *items = m->memo.items;
    samc_status status = reserve(m, &items, &m->memo.capacity, (size_t)slot + 1, sizeof *m->memo.items, MAX_MEMO);
    m->memo.items = items;
    if (status != SAMC_OK) return status;
    while (m->memo.count <= slot) m->memo.items[m->memo.count++] = 0;
    m->memo.items[slot] = object;
    return SAMC_OK;
}

static samc_status get(machine *m, uint64_t slot) {
    if (slot >= m->memo.count || m->memo.items[slot] == 0) return broken(m, "an unknown memo index");
    return push(m, m->memo.items[slot]);
}

/* callable(*arguments): dictionaries are known, every other call is only recorded. */
static samc_status reduce(machine *m) {
    uint32_t callable = 0, arguments = 0;
    SAMC__TRY(pop(m, &arguments));
    SAMC__TRY(pop(m, &callable));
    const samc__pickle *p = m->pickle;
    bool ordered = samc__pickle_global_equals(p, callable, "collections", "OrderedDict");
    if ((ordered && samc__pickle_items(p, arguments, NULL, 0) == 0) ||
        samc__pickle_global_equals(p, callable, "collections", "defaultdict"))
        return push_kind(m, SAMC__PICKLE_DICT);
    return push_new(m, (samc__pickle_object){.kind = SAMC__PICKLE_CALL, .a = callable, .b = arguments});
}

/* Discards `count` operands and pushes one opaque object in their place. */
static samc_status opaque_from(machine *m, int count) {
    uint32_t ignored;
    for (int i = 0; i < count; i++) SAMC__TRY(pop(m, &ignored));
    return push_kind(m, SAMC__PICKLE_OPAQUE);
}

/* Tuples, lists, dictionaries and sets, what goes into them, and names. */
static samc_status step_container(machine *m, uint8_t opcode) {
    uint32_t object = 0, other = 0;
    size_t height = 0;
    switch (opcode) {
    case 't':
    case 'l':
    case 'd':
    case 0x91: /* TUPLE, LIST, DICT, FROZENSET */
        SAMC__TRY(pop_mark(m, &height));
        return collect(m,
                       opcode == 't'   ? SAMC__PICKLE_TUPLE
                       : opcode == 'l' ? SAMC__PICKLE_LIST
                       : opcode == 'd' ? SAMC__PICKLE_DICT
                                       : SAMC__PICKLE_OPAQUE,
                       height);
    case 0x85:
    case 0x86:
    case 0x87: /* TUPLE1 to TUPLE3 */
        if (above_mark(m) < opcode - 0x84u) return broken(m, "stack underflow");
        return collect(m, SAMC__PICKLE_TUPLE, m->stack.count - (opcode - 0x84u));
    case 'a':
    case 's': /* APPEND, SETITEM */
        height = opcode == 'a' ? 1 : 2;
        if (above_mark(m) <= height) return broken(m, "stack underflow");
        return extend(m, m->stack.count - height, opcode == 's');
    case 'e':
    case 'u':
    case 0x90: /* APPENDS, SETITEMS, ADDITEMS */
        SAMC__TRY(pop_mark(m, &height));
        return extend(m, height, opcode == 'u');
    case 'c': /* GLOBAL */
        SAMC__TRY(take_line(m, &object));
        SAMC__TRY(take_line(m, &other));
        return push_new(m, (samc__pickle_object){.kind = SAMC__PICKLE_GLOBAL, .a = object, .b = other});
    case 0x93: /* STACK_GLOBAL */
        SAMC__TRY(pop(m, &other));
        SAMC__TRY(pop(m, &object));
        return push_new(m, (samc__pickle_object){.kind = SAMC__PICKLE_GLOBAL, .a = object, .b = other});
    default:
        return samc__fail(m->error, SAMC_UNSUPPORTED, "%s: data.pkl: unknown pickle opcode 0x%02x at byte %zu",
                          m->pickle->label, opcode, m->opcode_at);
    }
}

/* Numbers, strings and what is empty. */
static samc_status step_value(machine *m, uint8_t opcode) {
    uint64_t number = 0;
    const uint8_t *ignored;
    switch (opcode) {
    case 'N':
        return push_kind(m, SAMC__PICKLE_NONE);
    case 0x88:
        return push_integer(m, 1); /* NEWTRUE */
    case 0x89:
        return push_integer(m, 0); /* NEWFALSE */
    case 'J':
        SAMC__TRY(take_number(m, 4, &number));
        return push_integer(m, (int32_t)(uint32_t)number);
    case 'K':
    case 'M':
        SAMC__TRY(take_number(m, opcode == 'K' ? 1 : 2, &number));
        return push_integer(m, (int64_t)number);
    case 0x8a:
        return take_long(m, 1);
    case 0x8b:
        return take_long(m, 4);
    case 'G':
        SAMC__TRY(take(m, 8, &ignored));
        return push_kind(m, SAMC__PICKLE_OPAQUE);
    case 'X':
        return take_string(m, 4, SAMC__PICKLE_STRING);
    case 0x8c:
        return take_string(m, 1, SAMC__PICKLE_STRING);
    case 0x8d:
        return take_string(m, 8, SAMC__PICKLE_STRING);
    case 'T':
        return take_string(m, 4, SAMC__PICKLE_STRING); /* Python 2's str */
    case 'U':
        return take_string(m, 1, SAMC__PICKLE_STRING);
    case 'B':
        return take_string(m, 4, SAMC__PICKLE_OPAQUE); /* bytes */
    case 'C':
        return take_string(m, 1, SAMC__PICKLE_OPAQUE);
    case 0x8e:
    case 0x96:
        return take_string(m, 8, SAMC__PICKLE_OPAQUE);
    case ')':
        return push_kind(m, SAMC__PICKLE_TUPLE);
    case ']':
        return push_kind(m, SAMC__PICKLE_LIST);
    case '}':
        return push_kind(m, SAMC__PICKLE_DICT);
    case 0x8f:
        return push_kind(m, SAMC__PICKLE_OPAQUE); /* EMPTY_SET */
    default:
        return step_container(m, opcode);
    }
}

static samc_status step(machine *m, uint8_t opcode, bool *done) {
    uint32_t object = 0;
    uint64_t number = 0;
    size_t height = 0;
    const uint8_t *ignored;
    switch (opcode) {
    case 0x80: /* PROTO */
        SAMC__TRY(take_number(m, 1, &number));
        return number >= 2 && number <= 5 ? SAMC_OK : broken(m, "an unknown protocol");
    case 0x95:
        return take(m, 8, &ignored); /* FRAME */
    case '.':
        SAMC__TRY(pop(m, &m->pickle->root));
        *done = true;
        return SAMC_OK;
    case '(':
        return append(m, &m->marks, (uint32_t)m->stack.count, MAX_STACK);
    case '0':
        return pop(m, &object);
    case '1':
        SAMC__TRY(pop_mark(m, &height));
        m->stack.count = height;
        return SAMC_OK;
    case '2':
        SAMC__TRY(top(m, &object));
        return push(m, object);
    case 'R':
        return reduce(m);
    case 'b':
        return pop(m, &object); /* BUILD: the state of an object that stays as it is */
    case 0x81:
        return opaque_from(m, 2); /* NEWOBJ: class, arguments */
    case 0x92:
        return opaque_from(m, 3); /* NEWOBJ_EX */
    case 'o':                     /* OBJ: mark, class, arguments */
        SAMC__TRY(pop_mark(m, &height));
        m->stack.count = height;
        return push_kind(m, SAMC__PICKLE_OPAQUE);
    case 'Q': /* BINPERSID */
        SAMC__TRY(pop(m, &object));
        return push_new(m, (samc__pickle_object){.kind = SAMC__PICKLE_PERSISTENT, .a = object, .b = 0});
    case 'q':
    case 'r': /* BINPUT, LONG_BINPUT */
        SAMC__TRY(take_number(m, opcode == 'q' ? 1 : 4, &number));
        return put(m, number);
    case 0x94:
        return put(m, m->memo.count); /* MEMOIZE */
    case 'h':
    case 'j': /* BINGET, LONG_BINGET */
        SAMC__TRY(take_number(m, opcode == 'h' ? 1 : 4, &number));
        return get(m, number);
    default:
        return step_value(m, opcode);
    }
}

static samc_status run(machine *m) {
    samc__pickle *p = m->pickle;
    uint32_t ignored;
    SAMC__TRY(add_object(m, (samc__pickle_object){.kind = SAMC__PICKLE_OPAQUE, .integer = 0}, &ignored));
    void *cells = p->cells;
    samc_status status = reserve(m, &cells, &p->cell_capacity, 1, sizeof *p->cells, MAX_CELLS);
    p->cells = cells;
    p->cell_count = 1; /* cell 0 means "none" */
    bool done = false;
    while (status == SAMC_OK && !done) {
        m->opcode_at = m->at;
        if (m->at >= p->size) return broken(m, "cut off");
        uint8_t opcode = p->bytes[m->at++];
        status = step(m, opcode, &done);
    }
    return status;
}

samc_status samc__pickle_parse(const uint8_t *bytes, size_t size, const char *label, samc__pickle *pickle,
                               samc_error *error) {
    *pickle = (samc__pickle){.bytes = bytes, .size = size, .label = label};
    if (size > MAX_PICKLE)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: data.pkl has %zu bytes, at most %d can be read; re-save only the model's state_dict()",
                          label, size, MAX_PICKLE);
    machine m = {.pickle = pickle, .error = error};
    samc_status status = run(&m);
    free(m.stack.items);
    free(m.marks.items);
    free(m.memo.items);
    if (status != SAMC_OK) samc__pickle_free(pickle);
    return status;
}

void samc__pickle_free(samc__pickle *pickle) {
    free(pickle->objects);
    free(pickle->cells);
    pickle->objects = NULL;
    pickle->cells = NULL;
}

/* ---- Questions ------------------------------------------------------------------------------- */

bool samc__pickle_string_equals(const samc__pickle *pickle, uint32_t object, const char *text) {
    const samc__pickle_object *o = &pickle->objects[object];
    size_t length = strlen(text);
    return o->kind == SAMC__PICKLE_STRING && o->length == length &&
           memcmp(pickle->bytes + o->offset, text, length) == 0;
}

bool samc__pickle_global_equals(const samc__pickle *pickle, uint32_t object, const char *module, const char *name) {
    const samc__pickle_object *o = &pickle->objects[object];
    return o->kind == SAMC__PICKLE_GLOBAL && samc__pickle_string_equals(pickle, o->a, module) &&
           samc__pickle_string_equals(pickle, o->b, name);
}

int samc__pickle_items(const samc__pickle *pickle, uint32_t object, uint32_t *items, int limit) {
    const samc__pickle_object *o = &pickle->objects[object];
    int count = 0;
    if (o->kind != SAMC__PICKLE_TUPLE && o->kind != SAMC__PICKLE_LIST) return 0;
    for (uint32_t cell = o->first; cell != 0; cell = pickle->cells[cell].next) {
        if (count == limit) return limit + 1;
        items[count++] = pickle->cells[cell].object;
    }
    return count;
}

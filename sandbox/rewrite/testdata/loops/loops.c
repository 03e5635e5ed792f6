// The loops of the benchmark in C, without a library.
#define EXPORT(name) __attribute__((export_name(name)))
typedef unsigned int u32;
typedef unsigned char u8;

static u32 seed;
static u32 next(void) { return seed = seed * 1664525u + 1013904223u; }

static u32 numbers[4096];

static void quicksort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 pivot = a[(lo + hi) / 2];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) { u32 t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; }
    }
    if (j - lo < hi - i) { quicksort(a, lo, j); lo = i; }
    else { quicksort(a, i, hi); hi = j; }
  }
}

EXPORT("sort") u32 sort(u32 n) {
  u32 sum = 0;
  for (seed = 1; n > 0; n--) {
    for (int i = 0; i < 4096; i++) numbers[i] = next();
    quicksort(numbers, 0, 4095);
    sum += numbers[2048];
  }
  return sum;
}

static u8 composite[1 << 16];

EXPORT("sieve") u32 sieve(u32 n) {
  u32 primes = 0;
  for (; n > 0; n--) {
    for (u32 i = 0; i < sizeof composite; i++) composite[i] = 0;
    for (u32 i = 2; i < sizeof composite; i++) {
      if (composite[i]) continue;
      primes++;
      for (u32 j = i + i; j < sizeof composite; j += i) composite[j] = 1;
    }
  }
  return primes;
}

static double a[48][48], b[48][48], c[48][48];

EXPORT("matrix") u32 matrix(u32 n) {
  for (int i = 0; i < 48; i++)
    for (int j = 0; j < 48; j++) a[i][j] = i + j, b[i][j] = i - j;
  for (; n > 0; n--)
    for (int i = 0; i < 48; i++)
      for (int j = 0; j < 48; j++) {
        double sum = 0;
        for (int k = 0; k < 48; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
  return (u32)c[7][9];
}

static const char text[] =
    "{\"name\":\"Ada\",\"count\":12345,\"messages\":[\"hello\",\"a \\\"quoted\\\" word\",\"third\"],\"nested\":{\"a\":[1,2,3,"
    "{\"deep\":true}],\"b\":null,\"c\":-12.5e3}}";

// value skips one JSON value and returns its end.
static const char *value(const char *p, u32 *sum) {
  while (*p == ' ') p++;
  if (*p == '"') {
    for (p++; *p != '"'; p++) {
      if (*p == '\\') p++;
      *sum = *sum * 31 + *p;
    }
    return p + 1;
  }
  if (*p == '{' || *p == '[') {
    char end = *p == '{' ? '}' : ']';
    p++;
    while (*p != end) {
      p = value(p, sum);
      while (*p == ',' || *p == ':' || *p == ' ') p++;
    }
    return p + 1;
  }
  while (*p != ',' && *p != '}' && *p != ']') *sum = *sum * 31 + *p++;
  return p;
}

EXPORT("json") u32 json(u32 n) {
  u32 sum = 0;
  for (; n > 0; n--) value(text, &sum);
  return sum;
}

EXPORT("hash") u32 hash(u32 n) {
  u32 h = 2166136261u;
  for (; n > 0; n--)
    for (u32 i = 0; i < sizeof composite; i++) h = (h ^ composite[i]) * 16777619u;
  return h;
}

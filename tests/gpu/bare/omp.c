/* libgomp's function that kernels/linear/onednn.c calls, for machines without it. */
void omp_set_num_threads(int threads);
void omp_set_num_threads(int threads) { (void)threads; }

/* SPDX-License-Identifier: Apache-2.0 */
/* A service that hangs: two threads take the same two locks in opposite orders. */
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t journal = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void transfer(pthread_mutex_t *first, pthread_mutex_t *second)
{
    pthread_mutex_lock(first);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(second);
    pthread_mutex_unlock(second);
    pthread_mutex_unlock(first);
}

static void *pay(void *nothing)
{
    prctl(PR_SET_NAME, "payments");
    transfer(&accounts, &journal);
    return nothing;
}

static void *audit(void *nothing)
{
    prctl(PR_SET_NAME, "audit");
    transfer(&journal, &accounts);
    return nothing;
}

int main(void)
{
    pthread_t threads[2];
    pthread_barrier_init(&both, NULL, 3);
    pthread_create(&threads[0], NULL, pay, NULL);
    pthread_create(&threads[1], NULL, audit, NULL);
    pthread_barrier_wait(&both);
    puts("ready");
    fflush(stdout);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}

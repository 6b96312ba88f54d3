/* net/race.c - a data race on purpose: scripts/test must catch it in the ThreadSanitizer build. */
#include <pthread.h>
#include <stdio.h>

static int shared_count;

static void *count_up(void *unused)
{
    for (int i = 0; i < 1000; i++)
        shared_count++;
    return unused;
}

int main(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, count_up, NULL) != 0)
        return 1;
    count_up(NULL);
    pthread_join(other, NULL);
    printf("%d\n", shared_count);
    return 0;
}

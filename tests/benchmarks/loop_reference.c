/* Round trips of one message over loopback TCP: blocking calls, and io_uring by its system calls.
 *
 * Prints two medians in nanoseconds; the second is -1 where the kernel refuses io_uring.
 * Source of the ring's protocol: io_uring(7), io_uring_setup(2), io_uring_enter(2).
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SIZE 1500
#define ROUNDS 3000

static char buffer[SIZE];

static long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static void *echo(void *arg) {
    int fd = *(int *)arg;
    static char held[SIZE];
    for (;;) {
        ssize_t got = 0;
        while (got < SIZE) {
            ssize_t part = recv(fd, held + got, SIZE - got, 0);
            if (part <= 0) return NULL;
            got += part;
        }
        if (send(fd, held, SIZE, 0) != SIZE) return NULL;
    }
}

static int blocking(int fd) {
    if (send(fd, buffer, SIZE, 0) != SIZE) return -1;
    return recv(fd, buffer, SIZE, MSG_WAITALL) == SIZE ? 0 : -1;
}

static int ring_fd = -1;
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static int ring_open(void) {
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    ring_fd = (int)syscall(SYS_io_uring_setup, 8, &p);
    if (ring_fd < 0) return -1;
    char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd,
                    IORING_OFF_CQ_RING);
    sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED) return -1;
    sq_tail = (unsigned *)(sq + p.sq_off.tail);
    sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    sq_array = (unsigned *)(sq + p.sq_off.array);
    cq_head = (unsigned *)(cq + p.cq_off.head);
    cq_tail = (unsigned *)(cq + p.cq_off.tail);
    cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    return 0;
}

static void ring_put(int fd, int op, int flags, int msg_flags) {
    unsigned tail = *sq_tail, at = tail & *sq_mask;
    struct io_uring_sqe *e = &sqes[at];
    memset(e, 0, sizeof *e);
    e->opcode = (unsigned char)op;
    e->fd = fd;
    e->flags = (unsigned char)flags;
    e->addr = (unsigned long)buffer;
    e->len = SIZE;
    e->msg_flags = (unsigned)msg_flags;
    sq_array[at] = at;
    __atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static int ring(int fd) {
    ring_put(fd, IORING_OP_SEND, IOSQE_IO_LINK, 0); /* the receive waits for the send */
    ring_put(fd, IORING_OP_RECV, 0, MSG_WAITALL);
    if (syscall(SYS_io_uring_enter, ring_fd, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return -1;
    unsigned head = *cq_head;
    int good = 1;
    while (head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
        good &= cqes[head++ & *cq_mask].res == SIZE;
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    return good ? 0 : -1;
}

static long median_of(int (*trip)(int), int fd) {
    static long took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        long began = now_ns();
        if (trip(fd)) return -1;
        took[i] = now_ns() - began;
    }
    qsort(took, ROUNDS, sizeof(long), compare);
    return took[ROUNDS / 2];
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1)) return 1;
    getsockname(listener, (struct sockaddr *)&at, &size);
    int ours = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ours, (struct sockaddr *)&at, size)) return 1;
    int theirs = accept(listener, NULL, NULL);
    setsockopt(ours, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(theirs, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t thread;
    pthread_create(&thread, NULL, echo, &theirs);
    long plain = median_of(blocking, ours);
    long uring = ring_open() ? -1 : median_of(ring, ours);
    printf("%ld %ld\n", plain, uring);
    return 0;
}

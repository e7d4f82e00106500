/*
 * Exits 0 if http://127.0.0.1:PORT/PATH answers 200, and 1 otherwise: `healthcheck PORT PATH`.
 *
 * The engine runs this in every replica every few seconds, so it starts no interpreter and no dynamic linker. It calls
 * the kernel directly, since tcc, which compiles it, has no C library here.
 */

typedef unsigned long word;

enum { READ = 0, WRITE = 1, SOCKET = 41, CONNECT = 42, SETSOCKOPT = 54, EXIT = 60 }; /* system calls of x86-64 */
enum { AF_INET = 2, SOCK_STREAM = 1, SOL_SOCKET = 1, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21 };
enum { EAGAIN = 11, ECONNREFUSED = 111, EINPROGRESS = 115 };
enum { TIMEOUT_S = 3, REQUEST_SIZE = 4096, STATUS_LINE_SIZE = 256 };

struct address {
    unsigned short family, port; /* the port in network order */
    unsigned char ip[4], padding[8];
};
struct duration {
    long seconds, microseconds;
};

long system_call(long number, word a, word b, word c, word d, word e);
void start(word *stack);

/* The kernel puts the number of arguments on the stack, then a pointer to each. */
__asm__(".globl _start\n"
        "_start:\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call start\n"
        "system_call:\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    mov %rcx, %rdx\n"
        "    mov %r8, %r10\n"
        "    mov %r9, %r8\n"
        "    syscall\n"
        "    ret\n");

static word length(const char *text) {
    word count = 0;
    while (text[count]) count++;
    return count;
}

/* Returns whether a text starts with a prefix. The text may be shorter and need not end in a zero. */
static int starts_with(const char *text, word size, const char *prefix) {
    word i = 0;
    while (prefix[i] && i < size && text[i] == prefix[i]) i++;
    return !prefix[i];
}

static void exit(int code) {
    system_call(EXIT, code, 0, 0, 0, 0);
}

static void fail(const char *reason, word size) {
    system_call(WRITE, 1, (word)reason, size, 0, 0);
    system_call(WRITE, 1, (word)"\n", 1, 0, 0);
    exit(1);
}

static void fail_with(const char *reason) {
    fail(reason, length(reason));
}

/* Returns the result of a system call, or fails if it is an error. */
static long checked(long result, const char *failure) {
    if (result == -ECONNREFUSED) fail_with("connection refused");
    if (result == -EAGAIN || result == -EINPROGRESS) fail_with("timed out");
    if (result < 0) fail_with(failure);
    return result;
}

static long parse_port(const char *text) {
    long port = 0;
    word size = length(text);
    for (word i = 0; i < size && size <= 5; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        port = port * 10 + (text[i] - '0');
    }
    return port <= 65535 ? port : 0;
}

static long connect_to(long port) {
    static struct address address = {AF_INET, 0, {127, 0, 0, 1}, {0}}; /* tcc would call memset if it was not static */
    static const struct duration timeout = {TIMEOUT_S, 0};
    address.port = port >> 8 | port << 8;
    long connection = checked(system_call(SOCKET, AF_INET, SOCK_STREAM, 0, 0, 0), "can't create a socket");
    system_call(SETSOCKOPT, connection, SOL_SOCKET, SO_RCVTIMEO, (word)&timeout, sizeof timeout);
    system_call(SETSOCKOPT, connection, SOL_SOCKET, SO_SNDTIMEO, (word)&timeout, sizeof timeout);
    checked(system_call(CONNECT, connection, (word)&address, sizeof address, 0, 0), "can't connect");
    return connection;
}

/* Appends a text to the request and returns the new size. */
static word append(char *request, word size, const char *text) {
    word added = length(text);
    if (added > REQUEST_SIZE - size) fail_with("the path is too long");
    for (word i = 0; i < added; i++) request[size + i] = text[i];
    return size + added;
}

static void send_request(long connection, const char *path) {
    static char request[REQUEST_SIZE];
    word size = append(request, 0, "GET ");
    size = append(request, size, path);
    size = append(request, size, " HTTP/1.0\r\nHost: localhost\r\nUser-Agent: healthcheck\r\n\r\n");
    for (word sent = 0; sent < size;)
        sent += checked(
            system_call(WRITE, connection, (word)(request + sent), size - sent, 0, 0), "can't send the request");
}

/* Reads the status line into `line` and returns its size without the line break. */
static word read_status_line(long connection, char *line) {
    word size = 0;
    while (size < STATUS_LINE_SIZE) {
        long count = checked(
            system_call(READ, connection, (word)(line + size), STATUS_LINE_SIZE - size, 0, 0), "can't read the answer");
        if (count == 0) break;
        for (word end = size + count; size < end; size++)
            if (line[size] == '\r' || line[size] == '\n') return size;
    }
    return size;
}

void start(word *stack) {
    static char line[STATUS_LINE_SIZE];
    long port = stack[0] == 3 ? parse_port((const char *)stack[2]) : 0;
    if (!port) fail_with("usage: healthcheck PORT PATH");
    long connection = connect_to(port);
    send_request(connection, (const char *)stack[3]);
    word size = read_status_line(connection, line);
    if (!size) fail_with("no answer");
    /* The version's second digit is any. */
    int answered = starts_with(line, size, "HTTP/1.") && size >= 8 && starts_with(line + 8, size - 8, " 200");
    if (!answered || (size > 12 && line[12] != ' ')) fail(line, size);
    exit(0);
}

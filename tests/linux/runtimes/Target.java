// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * A Java program under load that checks itself: sums under a monitor, numbered messages through a
 * queue and a socket, sleeps, memory that the collector moves, faults that the JVM handles itself.
 */
final class Target {
    private static final int ACCOUNTS = 16;
    private static final int TOTAL = 16000;
    private static final int[] BALANCE = new int[ACCOUNTS];
    private static final AtomicLong violations = new AtomicLong();
    private static final AtomicLong rounds = new AtomicLong();
    private static final StringBuilder report = new StringBuilder();
    private static Target nothing;
    private int field;

    private interface Work {
        void run() throws Exception;
    }

    private static void violation(String text) {
        violations.incrementAndGet();
        synchronized (report) {
            if (report.length() < 2000) report.append(text.replaceAll("[\"\\\\\n]", "'")).append("; ");
        }
    }

    /** Runs it for ever; what it throws is a violation, and ends it. */
    private static void start(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                for (;;) {
                    work.run();
                    rounds.incrementAndGet();
                }
            } catch (Throwable thrown) {
                violation(name + ": " + thrown);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
    }

    private static void move(int seed) throws Exception {
        for (int i = seed; i < seed + 64; ++i) {
            int sum = 0;
            synchronized (BALANCE) {
                BALANCE[i % ACCOUNTS] -= 3;
                BALANCE[(i * 7 + 1) % ACCOUNTS] += 3;
                for (int one : BALANCE) sum += one;
            }
            if (sum != TOTAL) violation("the sum is " + sum);
        }
        Thread.sleep(1);
    }

    private static void faults() {
        // Implicit null checks are signals to the JVM: its own handlers must still get them.
        try {
            nothing.field = 1;
            violation("null was written to");
        } catch (NullPointerException expected) {
            LockSupport.parkNanos(100_000);
        }
    }

    private static int deep(int levels) {
        return levels == 0 ? 0 : deep(levels - 1) + 1;
    }

    private static void memory() throws Exception {
        List<int[]> list = new ArrayList<>();
        for (int i = 0; i < 2000; ++i) list.add(new int[] {i, i + 1});
        int sum = 0;
        for (int[] pair : list) sum += pair[1] - pair[0];
        if (sum != 2000) violation("the list has " + sum);
        if (deep(2000) != 2000) violation("depth");
        LockSupport.parkNanos(200_000);
    }

    private static void sleeps() throws Exception {
        long begin = System.nanoTime();
        Thread.sleep(5);
        long slept = System.nanoTime() - begin;
        if (slept < 5_000_000) violation("slept " + slept + " ns");
    }

    public static void main(String[] arguments) throws Exception {
        Arrays.fill(BALANCE, TOTAL / ACCOUNTS);
        for (int i = 0; i < 4; ++i) {
            int seed = i;
            start("move", () -> move(seed));
        }
        byte[] text = new byte[4096];
        byte[] wanted = MessageDigest.getInstance("SHA-256").digest(text);
        start("digest", () -> {
            if (!Arrays.equals(MessageDigest.getInstance("SHA-256").digest(text), wanted)) {
                violation("another digest");
            }
        });
        SynchronousQueue<Long> queue = new SynchronousQueue<>();
        long[] sent = {0};
        long[] taken = {0};
        start("put", () -> {
            queue.put(sent[0]++);
            LockSupport.parkNanos(100_000);
        });
        start("take", () -> {
            long got = queue.take();
            if (got != taken[0]++) violation("message " + got + " instead of " + (taken[0] - 1));
        });
        ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Socket client = new Socket(listener.getInetAddress(), listener.getLocalPort());
        Socket server = listener.accept();
        client.setTcpNoDelay(true);
        server.setTcpNoDelay(true);
        DataInputStream in = new DataInputStream(server.getInputStream());
        DataOutputStream out = new DataOutputStream(server.getOutputStream());
        start("echo", () -> out.writeLong(in.readLong()));
        DataInputStream back = new DataInputStream(client.getInputStream());
        DataOutputStream forth = new DataOutputStream(client.getOutputStream());
        long[] number = {0};
        start("numbers", () -> {
            forth.writeLong(++number[0]);
            long got = back.readLong();
            if (got != number[0]) violation("number " + got + " instead of " + number[0]);
            LockSupport.parkNanos(200_000);
        });
        start("sleeps", Target::sleeps);
        start("memory", Target::memory);
        start("faults", Target::faults);
        System.out.println("{\"pid\":" + ProcessHandle.current().pid() + "}");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        while (input.readLine() != null) {
            synchronized (report) {
                System.out.println("{\"violations\":" + violations + ",\"rounds\":" + rounds + ",\"report\":\"" + report
                        + "\"}");
            }
        }
        System.exit(0);
    }
}

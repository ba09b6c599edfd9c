"""What goes over a wire, for tests of what must not be seen there."""

import socket
import struct
import threading

ALL_FRAMES = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6  # packet(7)
SO_RCVBUFFORCE = 33  # socket(7)
BUFFER_BYTES = 64 << 20


class Wire:
    """All frames that pass an interface of this machine while this is entered.

    Attributes:
        seen: their bytes, one frame after the other.
    """

    def __init__(self, interface):
        self.interface, self.seen = interface, bytearray()
        self.stop = threading.Event()

    def __enter__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self.socket.bind((self.interface, 0))
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join()
        _, lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.socket.close()
        # What was not seen must not have been missed.
        assert kind or not lost, f"{lost} frames were lost"

    def _listen(self):
        """Until there is nothing more after the end."""
        while True:
            try:
                self.seen.extend(self.socket.recv(1 << 17))
            except TimeoutError:
                if self.stop.is_set():
                    return
